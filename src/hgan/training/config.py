"""Read the settings of a run from YAML files and the command line into a `Config`.

`model.name` and `loss.name` are read first, since the other keys of `model` and `loss` depend on
them: each matcher and each loss has its own settings.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import yaml  # type: ignore[import-untyped]
from jsonargparse import ArgumentParser, Namespace, set_parsing_settings

import hgan.model.matchers  # noqa: F401  # registers the built-in matchers
from hgan.config import DataConfig, OptimConfig, TextConfig, VisionConfig
from hgan.errors import ConfigError
from hgan.files import jsonable
from hgan.model.hgan import HGANConfig
from hgan.model.matcher import MATCHERS, MatcherConfig
from hgan.model.registry import Registry
from hgan.parser import Parser, did_you_mean
from hgan.training.losses.infonce import InfoNCEConfig
from hgan.training.losses.loss import LOSSES, LossConfig

MOVED = {"loss.kind": "loss.name"}
"""Keys of older versions, and their new names."""


Tracker = Literal["tensorboard", "wandb", "mlflow", "trackio"]
"""Names of experiment trackers; each is also the name of its package."""


@dataclass
class Config:
    """All settings of a run."""

    data: DataConfig = field(default_factory=DataConfig)
    vision: VisionConfig = field(default_factory=VisionConfig)
    text: TextConfig = field(default_factory=TextConfig)
    model: MatcherConfig = field(default_factory=HGANConfig)
    loss: LossConfig = field(default_factory=InfoNCEConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    seed: int = 1
    """Random seed of the initial weights, the batches and the augmentation."""
    run: Path = Path()
    """Folder of the run, whose files are in the subfolder seedN; by default in `runs`, with the
    name of the folder of the captions."""
    track: list[Tracker] = field(default_factory=list)
    """Experiment trackers that record the run too, beside its log.csv: tensorboard, wandb, mlflow,
    trackio."""

    def __post_init__(self) -> None:
        if self.run == Path():
            self.run = Path("runs") / self.data.name

    def as_dict(self) -> dict[str, Any]:
        """The settings as JSON values, as in the `config.json` of a run."""
        values: dict[str, Any] = jsonable(asdict(self))
        return values


SECTIONS = {
    settings.section: settings for settings in (DataConfig, VisionConfig, TextConfig, OptimConfig)
}
"""Sections whose keys are always the same."""
CHOSEN: dict[str, tuple[Registry[Any], str]] = {
    "model": (MATCHERS, HGANConfig.name),
    "loss": (LOSSES, InfoNCEConfig.name),
}
"""Sections whose keys depend on `name`: the registry of their classes, and the default name."""


def load_config(
    files: Sequence[Path | str] = (), overrides: Mapping[str, Any] | None = None
) -> Config:
    """Load the settings of a run: defaults, then YAML files, then overrides.

    Args:
        files: YAML files; values of later files override those of earlier ones.
        overrides: values by full name, such as `{"optim.epochs": 3}`.

    Raises:
        ConfigError: a file is missing or malformed, a key is unknown, or a value is not allowed.
    """
    words = [word for file in files for word in ("--config", str(file))]
    for key, value in (overrides or {}).items():
        words.append(f"--{key}={value if isinstance(value, str | Path) else json.dumps(value)}")
    parser = Parser()
    words = add_settings(parser, words)
    return config_of(parser, parser.parse_args(words))


def add_settings(parser: ArgumentParser, words: Sequence[str]) -> list[str]:
    """Add the settings of a run to a parser, with those of the matcher and loss that are chosen.

    Args:
        parser: the parser.
        words: command-line arguments, which choose the matcher and the loss.

    Returns:
        The arguments to parse. If a later YAML file chooses another matcher or loss than an earlier
        one, the settings of the earlier one are removed.

    Raises:
        ConfigError: a name or key is unknown, or belongs to another matcher or loss.
    """
    words = list(words)
    places = list(_config_files(words))  # (position in words, prefix, path)
    documents = [_read(path) for _, _, path in places]
    for (_, _, path), document in zip(places, documents, strict=True):
        _check_names(document, f"{path}: ")
    for section in SECTIONS:
        keys = _options(words, f"--{section}.")
        _check_names({section: dict.fromkeys(keys)})
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser.add_argument("--config", action="config", help="YAML file with the settings")
    for section, settings in SECTIONS.items():
        parser.add_class_arguments(settings, section)
    for section, (registry, name) in CHOSEN.items():
        names = []  # the name that is set after each file
        for (_, _, path), document in zip(places, documents, strict=True):
            values = document.get(section)
            values = values if isinstance(values, dict) else {}
            name = values.get("name", name)
            _check(registry, name, list(values), f"{path}: ")
            names.append(name)
        name = _option(words, f"--{section}.name") or name
        _check(registry, name, _options(words, f"--{section}."))
        for (position, prefix, _), document, old in zip(places, documents, names, strict=True):
            if old != name and isinstance(document.get(section), dict):
                document[section] = _known(document[section], registry.keys(name))
                words[position] = prefix + yaml.safe_dump(document)
        parser.add_class_arguments(registry.settings(name), section)
        _describe_choice(parser, section, registry)
    parser.add_class_arguments(Config, skip={*SECTIONS, *CHOSEN})
    return words


def config_of(parser: ArgumentParser, chosen: Namespace) -> Config:
    """The settings of a run from the result of a parser that `add_settings` has prepared."""
    made = parser.instantiate(chosen)
    return Config(**{f.name: made[f.name] for f in fields(Config)})


def _config_files(words: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """For each --config argument: its position, the prefix before the path, and the path."""
    for i, word in enumerate(words):
        if word == "--config" and i + 1 < len(words):
            yield i + 1, "", words[i + 1]
        elif word.startswith("--config="):
            yield i, "--config=", word.removeprefix("--config=")


def _read(path: str) -> dict[str, Any]:
    """The sections of a YAML file; none if it is missing, which the parser reports."""
    try:
        document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError:
        return {}
    except (ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        found = "is empty" if document is None else "has no sections"
        raise ConfigError(f"{path}: {found}; it needs settings, such as `optim: {{epochs: 3}}`")
    return document


def _options(words: Sequence[str], prefix: str) -> list[str]:
    """Keys of the options with this prefix, such as `width` in --model.width=3."""
    return [w.removeprefix(prefix).partition("=")[0] for w in words if w.startswith(prefix)]


def _option(words: Sequence[str], option: str) -> str | None:
    """The last value of an option in the arguments."""
    found = None
    for i, word in enumerate(words):
        if word == option and i + 1 < len(words):
            found = words[i + 1]
        elif word.startswith(f"{option}="):
            found = word.removeprefix(f"{option}=")
    return found


def _check_names(document: Mapping[str, Any], where: str = "") -> None:
    """Raise `ConfigError` for a section or key that does not exist; `_check` checks the keys of the
    matcher and of the loss."""
    known = {section: _names(settings) for section, settings in SECTIONS.items()}
    chosen = {section: registry.keys(name) for section, (registry, name) in CHOSEN.items()}
    top = [f.name for f in fields(Config)]
    full = [f"{section}.{key}" for section, keys in (known | chosen).items() for key in keys]
    for section, values in document.items():
        if section not in top:
            meant = did_you_mean(str(section), top + full)
            raise ConfigError(f"{where}{section} is not a setting{meant}")
        if section in known | chosen and not isinstance(values, dict | None):
            raise ConfigError(f"{where}{section}: must have keys and values, not {values}")
        for key in values or () if section in known else ():
            if key not in known[section]:
                name = f"{section}.{key}"
                raise ConfigError(f"{where}{name} is not a setting{did_you_mean(name, full)}")


def _names(settings: type[Any]) -> list[str]:
    return [f.name for f in fields(settings)]


def _check(registry: Registry[Any], name: str, keys: Sequence[str], where: str = "") -> None:
    """Raise `ConfigError` for a key that the settings of a class do not have."""
    section = registry.section
    for key in keys:
        if (new := MOVED.get(f"{section}.{key}")) is not None:
            raise ConfigError(f"{where}{section}.{key} was renamed to {new}")
    known = registry.keys(name)
    for key in keys:
        if key in known:
            continue
        if owners := registry.owners(key):
            raise ConfigError(
                f"{where}{section}.{key} is a setting of {' and '.join(owners)}, not of {name}"
            )
        meant = did_you_mean(f"{section}.{key}", [f"{section}.{each}" for each in known])
        meant = meant or f"; it has {', '.join(known)}"
        raise ConfigError(f"{where}{section}.{key} is not a setting of {name}{meant}")


def _known(values: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """The values of these keys, without the name."""
    return {key: value for key, value in values.items() if key in keys and key != "name"}


def _describe_choice(parser: ArgumentParser, section: str, registry: Registry[Any]) -> None:
    """List all matchers in the help of `--model.name`, not only the chosen one."""
    for action in parser._actions:
        if action.dest == f"{section}.name":
            action.metavar = "NAME"
            action.help = f"one of {', '.join(registry)}; the other keys depend on it"
