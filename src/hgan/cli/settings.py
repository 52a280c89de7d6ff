"""What the verbs of the training half share: that it is installed, and a run's settings."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace, set_parsing_settings

from hgan.errors import ConfigError

if TYPE_CHECKING:
    from hgan.config import Config


def need_training_half(verb: str) -> None:
    """Raise `ConfigError` where torch is not installed."""
    if find_spec("torch") is None:
        raise ConfigError(
            f"`hgan {verb}` needs the training half, which is not installed: "
            "pip install '.[train]' in the project's folder"
        )


def config_arguments(parser: ArgumentParser) -> None:
    from hgan.config import Config

    if find_spec("docstring_parser"):  # reads what hgan.config says of each setting
        set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser.add_argument("--config", action="config", help="YAML file with the settings")
    parser.add_class_arguments(Config)


def config_of(parser: ArgumentParser, chosen: Namespace) -> "Config":
    """The settings of a run: defaults, then the YAML files, then the command line."""
    from hgan.config import Config

    made = parser.instantiate(chosen)
    return Config(**{name: made[name] for name in Config.__dataclass_fields__})


def parse_config(arguments: list[str]) -> "Config":
    """The settings that `hgan train` would take from these arguments, for scripts."""
    parser = ArgumentParser(exit_on_error=False)
    config_arguments(parser)
    return config_of(parser, parser.parse_args(arguments))
