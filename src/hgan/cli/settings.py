"""Helpers for the verbs that need the training half: a check for torch, plug-ins, settings."""

import itertools
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from hgan.errors import ConfigError
from hgan.parser import Parser

if TYPE_CHECKING:
    from hgan.training.config import Config


def need_training_half(verb: str) -> None:
    """Raise `ConfigError` if torch is not installed."""
    if find_spec("torch") is None:
        raise ConfigError(
            f"`hgan {verb}` needs the training half, which is not installed: "
            "pip install '.[train]' in the project's folder"
        )


class SettingsParser(Parser):
    """A parser that also accepts the settings of a run, as --KEY VALUE or as --set KEY=VALUE.

    The settings depend on the matcher and the loss, which are named on the command line or in a
    YAML file and may come from a plug-in. They are therefore added when the arguments are known.
    """

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, *more: Any, **options: Any
    ) -> Any:
        """Parse the arguments to a namespace; `config_of` converts it to a `Config`."""
        words = list(sys.argv[1:] if args is None else args)
        if find_spec("torch") is None:
            if not {"-h", "--help"} & set(words):
                need_training_half(self.prog.removeprefix("hgan "))
            return super().parse_args(words, *more, **options)
        from hgan.training.config import add_settings

        load_plugins(plugins_of(words))
        words = list(_as_options(words))
        return super().parse_args(add_settings(self, words), *more, **options)


class SweepParser(Parser):
    """A parser that also accepts the settings of all systems as --KEY VALUE, like --set KEY=VALUE.

    Each system has other settings, so that they are read with those of its files.
    """

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, *more: Any, **options: Any
    ) -> Any:
        """Parse the arguments to a namespace."""
        words = list(sys.argv[1:] if args is None else args)
        return super().parse_args(list(_as_set(words)), *more, **options)


def _as_options(words: Sequence[str]) -> Iterator[str]:
    """The arguments, with each --set KEY=VALUE as --KEY=VALUE."""
    rest = iter(words)
    for word in rest:
        if word != "--set" and not word.startswith("--set="):
            yield word
            continue
        setting = next(rest, "") if word == "--set" else word.removeprefix("--set=")
        if not re.fullmatch(r"[\w.]+=.*", setting, re.DOTALL):
            raise ConfigError(f"--set {setting}: expected KEY=VALUE, such as optim.epochs=2")
        yield f"--{setting}"


def _as_set(words: Sequence[str]) -> Iterator[str]:
    """The arguments, with each --SECTION.KEY VALUE as --set SECTION.KEY=VALUE."""
    rest = iter(words)
    for word in rest:
        if not re.match(r"--\w+\.\w", word):
            yield word
            continue
        setting = word if "=" in word else f"{word}={next(rest, '')}"
        yield from ("--set", setting.removeprefix("--"))


def settings_arguments(parser: ArgumentParser) -> None:
    """Add --plugin and --set to a parser."""
    plugin_argument(parser)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="another way to write --KEY VALUE, as in `hgan sweep`; can be repeated",
    )


def plugin_argument(parser: ArgumentParser) -> None:
    """Add --plugin to a parser."""
    parser.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="FILE.py",
        help="Python file that defines a matcher or a loss; it is executed; can be repeated",
    )


def plugins_of(words: Sequence[str]) -> list[str]:
    """The files that are given with --plugin."""
    found = [file for option, file in itertools.pairwise(words) if option == "--plugin"]
    return found + [w.removeprefix("--plugin=") for w in words if w.startswith("--plugin=")]


def load_plugins(files: Sequence[str]) -> None:
    """Run the files, so that their matchers and losses are available by name."""
    if files:  # the training half is imported only where it is needed
        from hgan.model import plugins

        plugins.load_plugins(files)


def config_of(parser: ArgumentParser, chosen: Namespace) -> "Config":
    """The settings of a run: defaults, then the YAML files, then the command line."""
    from hgan.training import config

    return config.config_of(parser, chosen)


def parse_config(arguments: Sequence[str]) -> "Config":
    """The settings that `hgan train` would use for these arguments, for scripts."""
    parser = SettingsParser(exit_on_error=False)
    plugin_argument(parser)
    return config_of(parser, parser.parse_args(arguments))
