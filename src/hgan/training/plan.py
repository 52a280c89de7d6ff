"""What a sweep runs: the systems that YAML files and folders describe, each with every seed."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hgan.errors import ConfigError
from hgan.training.config import load_config
from hgan.training.run import Run


def plan_systems(configs: list[Path], base: str | None) -> dict[str, list[Path]]:
    """The YAML files of each system, by name, later files on top of earlier ones.

    A file belongs to all systems; a folder holds one file for each of its systems, which takes the
    folder's place. Without a folder there is one system, called as the last file or as `base`.

    Raises:
        ConfigError: a path is not there, a folder holds no YAML, two systems have one name.
    """
    folders = {}
    for path in configs:
        if path.is_dir():
            if not (inside := sorted(path.glob("*.yaml"))):
                raise ConfigError(f"{path}: holds no YAML file; one a system is expected there")
            folders[path] = inside
        elif not path.is_file():
            raise ConfigError(f"{path}: no such file or folder; look at --config")
    plain = [path for path in configs if path not in folders]
    found = []
    if base or not folders:
        found.append((base or plain[-1].stem, plain))
    for folder, files in folders.items():
        for file in files:
            kept = [file if path == folder else path for path in configs]
            found.append((file.stem, [path for path in kept if path not in folders]))
    for name, count in Counter(name for name, _ in found).items():
        if count > 1:
            raise ConfigError(f"{count} systems are called {name}; rename files, or change --base")
    return dict(found)


def plan_runs(
    systems: dict[str, list[Path]],
    seeds: list[int],
    runs: Path,
    settings: list[str],
    plugins: Sequence[str] = (),
) -> list[Run]:
    """All systems with the first seed, then with the next, so that a partial sweep compares all.

    Raises:
        ConfigError: a file or a setting is not what `hgan train` takes.
    """
    overrides: dict[str, str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or key in ("run", "seed", "config"):
            raise ConfigError(f"--set {setting}: KEY=VALUE is expected, such as optim.epochs=2")
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
