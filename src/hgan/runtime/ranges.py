"""Checks of values that were read from a file: type and range.

Each function raises `ValueError` with the name of the field; the reader of the file adds its path.
"""

import re
import reprlib
from typing import Any

_UNUSABLE = re.compile("[\0\ud800-\udfff]")
"""What names of files and texts of tokenizers must not contain: zeros and lone surrogates."""


def check_integer(name: str, value: Any, low: int, high: int) -> None:
    """Raise `ValueError` unless the value is an integer in low..high, and not a bool."""
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{name} must be an integer from {low} to {high}, not {_shown(value)}")


def check_number(name: str, value: Any, low: float, high: float) -> None:
    """Raise `ValueError` unless the value is a number in low..high, and neither NaN nor a bool."""
    if type(value) not in (int, float) or not low <= value <= high:
        raise ValueError(f"{name} must be a number from {low} to {high}, not {_shown(value)}")


def check_text(name: str, value: Any, longest: int = 10_000) -> None:
    """Raise `ValueError` unless the value is a text with at least one character, and can be encoded
    and used as the name of a file."""
    if type(value) is not str or not 1 <= len(value) <= longest:
        raise ValueError(f"{name} must be a text of 1 to {longest} characters, not {_shown(value)}")
    if unusable := _UNUSABLE.search(value):
        raise ValueError(f"{name} must be text in UTF-8 without zeros, not with {unusable[0]!r}")


def check_choice(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Raise `ValueError` unless the value is one of the choices."""
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        raise ValueError(f"{name} must be one of {choices}, not {_shown(value)}")


def _shown(value: Any) -> str:
    return reprlib.repr(value)  # short, also if the value is large or deeply nested
