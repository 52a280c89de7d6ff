"""The verb `sweep`: train several systems with several seeds."""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import PositiveInt

from hgan.cli.settings import load_plugins, need_training_half, parse_config, plugin_argument
from hgan.cli.verb import Verb
from hgan.errors import ConfigError

if TYPE_CHECKING:
    from hgan.training.run import Run
    from hgan.training.sweep import Job


LOG_LINES = 15
"""Lines of a failed run's log that are shown."""


def _sweep_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    # No type where a flag can be repeated: the parser would apply it to the whole list.
    add("--config", action="append", required=True, metavar="PATH",
        help="YAML file for all systems, or folder with one file a system; can be repeated")
    add("--seeds", type=str, default="1,2,3", help="seeds, separated by commas")
    add("--base", metavar="NAME", help="also train the files for all systems alone, as NAME")
    add("--runs", type=Path, default=Path("runs/ablations"), help="folder of the runs")
    add("--split", default="val", help="split that each run is evaluated on")
    add("--jobs", type=PositiveInt, default=1, help="runs at once; they share the processors")
    add("--set", action="append", default=[], metavar="KEY=VALUE",
        help="setting of all systems, such as optim.epochs=2; can be repeated")
    plugin_argument(parser)


def _sweep(_parser: ArgumentParser, chosen: Namespace) -> int:
    need_training_half("sweep")
    load_plugins(chosen.plugin)
    from rich.console import Console

    from hgan.training.sweep import sweep, table

    systems = plan_systems([Path(path) for path in chosen.config], chosen.base)
    seeds = _seeds(chosen.seeds)
    runs = plan_runs(systems, seeds, chosen.runs, chosen.set, chosen.plugin)
    jobs = sweep(runs, chosen.split, chosen.jobs)
    Console().print(table(jobs))
    failed = [job for job in jobs if job.state == "failed"]
    for job in failed:
        _print_failure(job)
    print(f"hgan report {chosen.runs} --split {chosen.split} compares them", file=sys.stderr)
    return 1 if failed else 0


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
) -> "list[Run]":
    """All systems with the first seed, then with the next, so that a partial sweep compares all.

    Raises:
        ConfigError: a file or a setting is not what `hgan train` takes.
    """
    from hgan.training.run import Run

    words = []
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or key in ("run", "seed", "config"):
            raise ConfigError(f"--set {setting}: KEY=VALUE is expected, such as optim.epochs=2")
        words += [f"--{key}", value]
    planned = []
    for seed in seeds:
        for name, files in systems.items():
            arguments = [word for file in files for word in ("--config", str(file))]
            arguments += [*words, "--run", str(runs / name), "--seed", str(seed)]
            try:
                config = parse_config(arguments)
            except (argparse.ArgumentError, ConfigError) as error:
                raise ConfigError(f"system {name}: {error}") from error
            planned.append(Run(name, config, tuple(arguments), tuple(plugins)))
    return planned


def _seeds(text: str) -> list[int]:
    try:
        seeds = [int(seed) for seed in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"--seeds {text}: expected whole numbers, such as 1,2,3") from error
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"--seeds {text}: a seed is given twice")
    return seeds


def _print_failure(job: "Job") -> None:
    print(f"\n{job.run.folder}: failed with exit code {job.code}; {job.log} ends:", file=sys.stderr)
    lines = job.log.read_text(encoding="utf-8", errors="replace").splitlines()
    print("\n".join(f"  {line}" for line in lines[-LOG_LINES:]), file=sys.stderr)


SWEEP = Verb(
    summary="Train and evaluate several systems with several seeds.",
    details=(
        "A run is stored in RUNS/SYSTEM/seedS, with its output in train.log. The same command\n"
        "finishes an interrupted sweep: finished runs are skipped and interrupted ones are\n"
        "continued. If a run fails, the others go on, and the exit code is 1."
    ),
    examples=(
        "hgan sweep --config configs/flickr8k.yaml --config configs/ablations --base full",
        "hgan sweep --config configs/flickr8k.yaml --config configs/ablations --jobs 2",
        "hgan sweep --config configs/flickr8k.yaml --seeds 1 --set optim.epochs=2",
    ),
    arguments=_sweep_arguments,
    run=_sweep,
    usage="hgan sweep --config PATH [--config PATH ...] [--seeds 1,2,3] [--jobs N] [...]",
)
