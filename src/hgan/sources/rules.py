"""Which files of a folder are ignored: the rules of gitignore, in three places.

    hgan index ~/Pictures --exclude "*.png"     of the command line, kept in the index
    ~/Pictures/2023/.hganignore                 for this folder and its subfolders
    DEFAULTS                                    hidden files, caches and trash

Of these places, the first one that says something about a file decides; of several `.hganignore`,
the one that is nearest to the file. Within one place, the last rule that matches decides, so
`!Trash/` takes a folder back. Files of an ignored folder are never read, as in git.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

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
class _Rule:
    """One rule."""

    name: str
    """What it is called in messages."""
    pattern: GitIgnoreSpecPattern
    """Its pattern without the slash at the end."""
    only_folders: bool

    @property
    def ignores(self) -> bool:
        """Whether what it matches is ignored; False if it is taken back."""
        return self.pattern.include is True

    def matches(self, path: str, is_folder: bool) -> bool:
        """Whether it matches a path itself, and not only a folder above it, as in git.

        Args:
            path: the path relative to the folder of the rule, without a slash at the end.
            is_folder: whether this is a folder.
        """
        if self.only_folders and not is_folder:
            return False
        found = self.pattern.match_file(path)
        # The only group in the pattern is the slash behind a folder above the path.
        return found is not None and found.match.lastgroup is None


@dataclass(frozen=True)
class _Place:
    """The rules of one place."""

    folder: str
    """The folder to which they are relative, with a trailing slash; empty for the root."""
    rules: tuple[_Rule, ...]
    """The last one that matches decides."""

    def decision(self, path: str) -> _Rule | None:
        """The rule that decides about a path, see `Rules.ignoring`; None if none matches."""
        inner, is_folder = path[len(self.folder) :].removesuffix("/"), path.endswith("/")
        matching = (rule for rule in reversed(self.rules) if rule.matches(inner, is_folder))
        return next(matching, None)


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
            chosen = tuple(_rule(rule, f"--exclude {rule}") for rule in exclude)
        except BadRuleError as error:
            raise ConfigError(
                f"--exclude {error}; write one such as '*.png' or 'drafts/'"
            ) from error
        names = {".*": "hidden"}
        built_in = tuple(_rule(rule, names.get(rule, rule.lstrip("\\"))) for rule in DEFAULTS)
        return cls(exclude, (_Place("", chosen), _Place("", built_in)))

    def within(self, folder: str, text: str) -> "tuple[Rules, dict[int, str]]":
        """Add the rules of a folder's `.hganignore`.

        Args:
            folder: path of the folder with a trailing slash; empty for the root.
            text: the content of the file.

        Returns:
            The rules for this folder; and for each line that is not valid and has no effect, its
            number and the reason.
        """
        rules, problems = list[_Rule](), dict[int, str]()
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            try:
                rules.append(_rule(line, f"{line.strip()} in {folder}{IGNORE_FILE}"))
            except BadRuleError as error:
                problems[number] = str(error)
        command_line, *others = self._places
        places = (command_line, _Place(folder, tuple(rules)), *others)
        return replace(self, _places=places), problems

    def ignoring(self, path: str) -> str | None:
        """The name of the rule that ignores a file or folder of this folder; None if none does.

        Args:
            path: the path relative to the root; that of a folder ends with a slash.
        """
        for place in self._places:
            if rule := place.decision(path):
                return rule.name if rule.ignores else None
        return None


def _rule(text: str, name: str) -> _Rule:
    """A rule of gitignore.

    Raises:
        BadRuleError: it is not valid.
    """
    shown = repr(text.strip()[:80])
    if len(re.findall(r"\*+", text)) > MOST_STARS:
        raise BadRuleError(f"{shown} has more than {MOST_STARS} stars")
    end = text if text.endswith("\\ ") else text.rstrip()  # an escaped space is part of the name
    try:
        pattern = GitIgnoreSpecPattern(end.removesuffix("/"))
    except (ValueError, re.error) as error:
        reason = error.msg if isinstance(error, re.error) else error
        raise BadRuleError(f"{shown} is not a rule of gitignore ({reason})") from error
    return _Rule(name, pattern, only_folders=end.endswith("/"))
