"""Text for terminals and logs: control characters in names are escaped.

A file name can contain newlines, which would forge lines of output, and escape sequences, which
would change what a terminal shows.
"""

import re
from typing import TextIO

_CONTROLS = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # control characters
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # they change the direction of the text
    "\u2028\u2029"  # line and paragraph separators
    "\ud800-\udfff"  # lone surrogates, which cannot be printed
    "]"
)
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: str, keep: str = "") -> str:
    r"""The text with control characters escaped, such as `\n` and `\u001b`.

    The escapes are those of JSON, so that this can be applied to JSON text as well.

    Args:
        text: the text.
        keep: characters that are not escaped.
    """

    def escaped(found: re.Match[str]) -> str:
        one = found.group()
        return one if one in keep else _SHORT.get(one, f"\\u{ord(one):04x}")

    return _CONTROLS.sub(escaped, text)


def print_visible(
    *values: object, sep: str = " ", file: TextIO | None = None, flush: bool = False
) -> None:
    """Print one line; control characters in the values are escaped."""
    print(*(visible(str(value)) for value in values), sep=sep, file=file, flush=flush)
