"""Which files of a folder are ignored: the rules of gitignore, in three places.

    hgan index ~/Pictures --exclude "*.png"     of the command line, kept in the index
    ~/Pictures/2023/.hganignore                 for this folder and its subfolders
    DEFAULTS                                    hidden files, caches and trash

Of these places, the first one that says something about a file decides; of several `.hganignore`,
the one that is nearest to the file. Within one place, the last rule that matches decides, so
`!Trash/` takes a folder back. Files of an ignored folder are never read, as in git.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

from pathspec import GitIgnoreSpec

from hgan.errors import ConfigError

IGNORE_FILE = ".hganignore"
LARGEST_IGNORE_FILE = 2**20
"""Maximum size of a file of rules in bytes."""
MOST_STARS = 3
"""Maximum number of `*` and `**` in a rule; the time to compare a name grows with its length to the
power of this number."""

DEFAULTS = (
    ".*",
    "@eaDir/",  # Synology
    r"\#recycle/",
    "@Recycle/",  # QNAP
    "$RECYCLE.BIN/",  # Windows
    "System Volume Information/",
    "Trash/",
    "lost+found/",
    "__MACOSX/",
    "node_modules/",
    "*.lrdata/",  # Lightroom's previews
)
"""Rules that hold unless others say the contrary."""


class BadRuleError(ValueError):
    """A rule that is not valid; the message contains the rule and the reason."""


@dataclass(frozen=True)
class _Place:
    """The rules of one place."""

    folder: str
    """The folder to which they are relative, with a trailing slash; empty for the root."""
    spec: GitIgnoreSpec
    names: tuple[str, ...]
    """What each rule is called in messages."""


@dataclass(frozen=True)
class Rules:
    """The rules for one folder, from all places."""

    exclude: tuple[str, ...] = ()
    """Rules of the command line."""
    _places: tuple[_Place, ...] = ()
    """The first one that says something decides."""

    @classmethod
    def of(cls, exclude: Iterable[str] = ()) -> Self:
        """The rules for the root.

        Args:
            exclude: rules of the command line; empty ones are left out.

        Raises:
            ConfigError: a rule is not valid.
        """
        exclude = tuple(rule for rule in exclude if rule.strip())
        try:
            first = _place("", exclude, [f"--exclude {rule}" for rule in exclude])
        except BadRuleError as error:
            raise ConfigError(
                f"--exclude {error}; write one such as '*.png' or 'drafts/'"
            ) from error
        names = ["hidden", *(rule.lstrip("\\") for rule in DEFAULTS[1:])]
        return cls(exclude, (first, _place("", DEFAULTS, names)))

    def within(self, folder: str, text: str) -> "tuple[Rules, dict[int, str]]":
        """Add the rules of a folder's `.hganignore`.

        Args:
            folder: path of the folder with a trailing slash; empty for the root.
            text: the content of the file.

        Returns:
            The rules for this folder; and for each line that is not valid and has no effect, its
            number and the reason.
        """
        rules, problems = list[str](), dict[int, str]()
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip():  # pathspec does not number empty lines
                continue
            try:
                _check(line)
                rules.append(line)
            except BadRuleError as error:
                problems[number] = str(error)
        name = folder + IGNORE_FILE
        place = _place(folder, rules, [f"{rule.strip()} in {name}" for rule in rules])
        command_line, *others = self._places
        return replace(self, _places=(command_line, place, *others)), problems

    def ignoring(self, path: str) -> str | None:
        """The name of the rule that ignores a file or folder of this folder; None if none does.

        Args:
            path: the path relative to the root; that of a folder ends with a slash.
        """
        for place in self._places:
            found = place.spec.check_file(path[len(place.folder) :])
            if found.include is not None and found.index is not None:
                return place.names[found.index] if found.include else None
        return None


def _place(folder: str, rules: Sequence[str], names: Sequence[str]) -> _Place:
    for rule in rules:
        _check(rule)
    return _Place(folder, GitIgnoreSpec.from_lines(rules), tuple(names))


def _check(rule: str) -> None:
    """Raise `BadRuleError` if a line is not a valid rule."""
    shown = repr(rule.strip()[:80])
    if rule.startswith("#"):  # a comment
        return
    if len(re.findall(r"\*+", rule)) > MOST_STARS:
        raise BadRuleError(f"{shown} has more than {MOST_STARS} stars")
    try:
        GitIgnoreSpec.from_lines([rule])
    except (ValueError, re.error) as error:
        reason = error.msg if isinstance(error, re.error) else error
        raise BadRuleError(f"{shown} is not a rule of gitignore ({reason})") from error
