"""Plan a sweep: find the systems that YAML files and folders describe, and list their runs."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hgan.errors import ConfigError
from hgan.training.config import load_config
from hgan.training.run import Run


def plan_systems(configs: list[Path], base: str | None) -> dict[str, list[Path]]:
    """The YAML files of each system, by name; later files override earlier ones.

    A file is used for all systems. A folder contains one file per system, which is used at the
    position of the folder. Without a folder there is one system, named `base`, or like the file if
    there is only one.

    Raises:
        ConfigError: a path does not exist, a folder contains no YAML file, two systems have the
            same name, or several files are given without a folder and without `base`: whether they
            are meant as one system or as several cannot be known.
    """
    folders = {}
    for path in configs:
        if path.is_dir():
            if not (inside := sorted(path.glob("*.yaml"))):
                raise ConfigError(f"{path}: contains no YAML file; it needs one per system")
            folders[path] = inside
        elif not path.is_file():
            raise ConfigError(f"{path}: no such file or folder; check --config")
    plain = [path for path in configs if path not in folders]
    if not folders and not base and len(plain) > 1:
        raise ConfigError(
            f"--config {' and '.join(map(str, plain))}: files are merged into one system, in which "
            "later ones override earlier ones. If that is meant, name the system: --base "
            f"{plain[-1].stem}. To compare them, put one file per system into a folder, and pass it"
        )
    found = []
    if base or not folders:
        found.append((base or plain[-1].stem, plain))
    for folder, files in folders.items():
        for file in files:
            kept = [file if path == folder else path for path in configs]
            found.append((file.stem, [path for path in kept if path not in folders]))
    for name, count in Counter(name for name, _ in found).items():
        if count > 1:
            raise ConfigError(
                f"{count} systems have the name {name}; rename files, or change --base"
            )
    return dict(found)


def plan_runs(
    systems: dict[str, list[Path]],
    seeds: list[int],
    runs: Path,
    settings: list[str],
    plugins: Sequence[str] = (),
) -> list[Run]:
    """The runs of a sweep: all systems with the first seed, then all with the second, and so on,
    so that an interrupted sweep has runs of all systems.

    Raises:
        ConfigError: `hgan train` would not accept a file or a setting.
    """
    overrides: dict[str, str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or key in ("run", "seed", "config"):
            raise ConfigError(
                f"--set {setting}: expected KEY=VALUE, such as optim.epochs=2; run, seed and "
                "config cannot be set"
            )
        overrides[key] = value
    planned = []
    for seed in seeds:
        for name, files in systems.items():
            chosen = overrides | {"run": str(runs / name), "seed": str(seed)}
            try:
                config = load_config(files, chosen)
            except ConfigError as error:
                raise ConfigError(f"system {name}: {error}") from error
            arguments = [word for file in files for word in ("--config", str(file))]
            for key, value in chosen.items():
                arguments += [f"--{key}", value]
            planned.append(Run(name, config, tuple(arguments), tuple(plugins)))
    return planned
