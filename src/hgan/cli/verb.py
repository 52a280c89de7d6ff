"""A verb of the command line: its help, its arguments, and the function that it runs."""

from argparse import SUPPRESS, Action, RawDescriptionHelpFormatter
from collections.abc import Callable
from dataclasses import dataclass

from jsonargparse import ArgumentParser, DefaultHelpFormatter, Namespace

from hgan.parser import Parser


class _Formatter(RawDescriptionHelpFormatter, DefaultHelpFormatter):
    """Keeps line breaks of descriptions and examples; shows types only of YAML settings."""

    def _get_help_string(self, action: Action) -> str:
        plain = action.help or ""
        if "." in action.dest or "default: " in plain:  # a setting of the YAML file
            return super()._get_help_string(action)
        if not action.option_strings or action.default in (None, False, SUPPRESS, "", []):
            return plain
        return f"{plain} (default: %(default)s)"

    def _expand_help(self, action: Action) -> str:
        return super()._expand_help(action).replace("<class 'Path'>", "path")


@dataclass(frozen=True)
class Verb:
    """One command of `hgan`.

    `arguments` and `run` import what they need when they are called, so that a search starts
    without torch and without the settings of a training run.
    """

    summary: str
    """One line, for the list of verbs."""
    details: str
    """Description for the help of the verb."""
    examples: tuple[str, ...]
    """Complete command lines, for the help of the verb."""
    arguments: Callable[[ArgumentParser], None]
    """Adds the verb's arguments to its parser."""
    run: Callable[[ArgumentParser, Namespace], int]
    """Runs the verb and returns the exit code."""
    usage: str | None = None
    """The usage line, if the generated one would be too long."""
    parser_class: type[ArgumentParser] = Parser
    """`SettingsParser` for a verb that takes the settings of a run."""

    def parser(self, name: str) -> ArgumentParser:
        """Build the parser of this verb."""
        examples = "\n".join(f"  {example}" for example in self.examples)
        parser = self.parser_class(
            prog=f"hgan {name}",
            usage=self.usage,
            description=f"{self.summary}\n\n{self.details}",
            epilog=f"examples:\n{examples}",
            formatter_class=_Formatter,
            allow_abbrev=False,
        )
        self.arguments(parser)
        return parser
