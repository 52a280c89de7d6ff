"""The verb `completion`: a script by which a shell completes verbs, options, values and paths.

The parsers of the verbs are copied into plain ones, of which shtab makes the script. It needs no
Python when it completes.
"""

from argparse import SUPPRESS, Action
from argparse import ArgumentParser as PlainParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from jsonargparse import ArgumentParser, Namespace

from hgan.cli.settings import SettingsParser
from hgan.cli.verb import Verb

NAME = "completion"
SHELLS = ("bash", "zsh", "fish")
_PATHS = {"checkpoint", "config", "file", "folder", "folders", "index", "model", "source", "to"}
"""Arguments that are a path or an address, or several."""


def _completion_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="the shell")


def _plain_parser(verbs: dict[str, Verb]) -> PlainParser:
    """A parser of the whole command line, with verbs of two words as nested ones."""
    root = PlainParser(prog="hgan")
    root.add_argument("--version", action="store_true", help="the version")
    levels = {"": root.add_subparsers()}
    for name, verb in verbs.items():
        first, _, last = name.rpartition(" ")
        if first not in levels:
            parent = levels[""].add_parser(first, help=f"{first} ...")
            levels[first] = parent.add_subparsers()
        parser = levels[first].add_parser(last, help=_safe(verb.summary))
        for action in _parser_of(name, verb)._actions:
            if action.help != SUPPRESS and "--help" not in action.option_strings:
                _copy(action, parser)
    return root


def _parser_of(name: str, verb: Verb) -> ArgumentParser:
    """The parser of a verb, with the settings of a run if it takes them and torch is installed."""
    parser = verb.parser(name)
    if isinstance(parser, SettingsParser) and find_spec("torch") is not None:
        from hgan.training.config import add_settings

        add_settings(parser, [])
    return parser


def _copy(action: Action, parser: PlainParser) -> None:
    """Add an argument of jsonargparse to a plain parser, with what completes its values."""
    import shtab

    given: dict[str, Any] = {"help": _safe(action.help or "")}
    names = action.option_strings or [action.dest]
    if action.option_strings and action.nargs == 0:
        parser.add_argument(*names, action="store_true", **given)
        return
    kind = getattr(action, "_typehint", action.type)
    choices = action.choices or _values(kind)
    copy = parser.add_argument(*names, nargs=action.nargs, choices=choices, **given)
    if not choices and (action.dest in _PATHS or _is_path(kind)):
        copy.complete = shtab.FILE  # type: ignore[attr-defined]


def _values(kind: Any) -> list[str] | None:
    """All values of a type, if there are few."""
    if kind is bool:
        return ["true", "false"]
    return [str(value) for value in get_args(kind)] if get_origin(kind) is Literal else None


def _is_path(kind: Any) -> bool:
    return kind is Path or Path in get_args(kind)


def _safe(text: str) -> str:
    """One line, without the placeholders of argparse."""
    return " ".join(text.replace("%(default)s", "").replace("%", "%%").split())


def completion_verb(others: dict[str, Verb]) -> Verb:
    """The verb `completion`, which completes these verbs and itself."""

    def run(_parser: ArgumentParser, chosen: Namespace) -> int:
        import shtab

        print(shtab.complete(_plain_parser(others | {NAME: verb}), chosen.shell))
        return 0

    verb = Verb(
        summary="Print a script for your shell that completes verbs, options and paths.",
        details=(
            "bash:  hgan completion bash > ~/.local/share/bash-completion/completions/hgan\n"
            "zsh:   hgan completion zsh > ~/.zfunc/_hgan, with fpath+=~/.zfunc before compinit\n"
            "fish:  hgan completion fish > ~/.config/fish/completions/hgan.fish\n\n"
            "Create the folder first if there is none. Print it again after an upgrade. Where\n"
            "the training half is installed, the settings of a run are completed too."
        ),
        examples=tuple(f"hgan {NAME} {shell}" for shell in SHELLS),
        arguments=_completion_arguments,
        run=run,
    )
    return verb
