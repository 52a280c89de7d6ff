"""The verb `sweep`: train and evaluate several systems with several seeds."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import PositiveInt

from hgan.cli.device import TORCH_NAMES, device_argument, use_device
from hgan.cli.settings import SweepParser, load_plugins, need_training_half, plugin_argument
from hgan.cli.verb import Verb
from hgan.errors import ConfigError
from hgan.terminal import print_visible

if TYPE_CHECKING:
    from hgan.training.run import Run
    from hgan.training.sweep import Job

LOG_LINES = 15
"""Number of lines that are shown of a failed run's log."""


def _sweep_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    # No type where a flag can be repeated: the parser would apply it to the whole list.
    add(
        "--config",
        action="append",
        required=True,
        metavar="PATH",
        help="YAML file for all systems, or folder with one file per system; can be repeated",
    )
    add("--seeds", type=str, default="1,2,3", help="seeds, separated by commas")
    add("--base", metavar="NAME", help="also train a system NAME with only the files for all")
    add("--runs", type=Path, default=Path("runs/ablations"), help="folder of the runs")
    add("--split", default="val", help="split that each run is evaluated on")
    add("--jobs", type=PositiveInt, default=1, help="runs at once; they share the processors")
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="setting of all systems, such as optim.epochs=2; also as --optim.epochs 2; can be "
        "repeated",
    )
    add(
        "--search",
        action="append",
        default=[],
        metavar="KEY=A,B",
        help="train every system with each of these values; can be repeated for combinations",
    )
    add(
        "--trials",
        type=PositiveInt,
        metavar="N",
        help="with --search: only N of the combinations, the same for all systems",
    )
    device_argument(parser, TORCH_NAMES)
    plugin_argument(parser)


def _sweep(_parser: ArgumentParser, chosen: Namespace) -> int:
    need_training_half("sweep")
    use_device(chosen.device)
    load_plugins(chosen.plugin)
    from rich.console import Console

    from hgan.launch import world_size
    from hgan.training.plan import plan_runs, plan_systems
    from hgan.training.search import plan_search, plan_trials
    from hgan.training.sweep import sweep, table

    if world_size() > 1:
        raise ConfigError(
            "sweep starts the processes of its runs itself (--jobs); start it without a launcher, "
            "or train one run at a time with accelerate launch -m hgan train"
        )
    systems = plan_systems([Path(path) for path in chosen.config], chosen.base)
    for name, files in systems.items():
        print_visible(f"{name}: {', then '.join(map(str, files))}", file=sys.stderr)
    seeds = _seeds(chosen.seeds)
    trials = plan_trials(chosen.search, chosen.trials) if chosen.search else []
    if trials and chosen.split != "val":
        raise ConfigError(f"--split {chosen.split}: a search chooses settings on val alone")
    if trials:
        runs = plan_search(systems, seeds, chosen.runs, chosen.set, trials, chosen.plugin)
    elif chosen.trials:
        raise ConfigError("--trials: needs --search, which says what is tried")
    else:
        runs = plan_runs(systems, seeds, chosen.runs, chosen.set, chosen.plugin)
    jobs = sweep(runs, chosen.split, chosen.jobs)
    Console().print(table(jobs))
    failed = [job for job in jobs if job.state == "failed"]
    for job in failed:
        _print_failure(job)
    if trials:
        _print_best(list(systems), seeds, trials, runs, chosen.runs)
    else:
        print(f"hgan report {chosen.runs} --split {chosen.split} compares them", file=sys.stderr)
    return 1 if failed else 0


def _print_best(
    systems: list[str], seeds: list[int], trials: list[list[str]], runs: "list[Run]", folder: Path
) -> None:
    from hgan.training.search import BEST, write_best

    for name, (trial, rsum) in write_best(systems, seeds, trials, runs, folder).items():
        print(f"{name}: {' '.join(trial)} (rSum {rsum:.1f} on val)")
    print(f"train them with more seeds: hgan sweep --config {folder / BEST}", file=sys.stderr)


def _seeds(text: str) -> list[int]:
    try:
        seeds = [int(seed) for seed in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"--seeds {text}: expected whole numbers, such as 1,2,3") from error
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"--seeds {text}: a seed is given twice")
    return seeds


def _print_failure(job: "Job") -> None:
    print(file=sys.stderr)
    failed = f"{job.run.folder}: failed with exit code {job.code}"
    print_visible(f"{failed}; {job.log} ends:", file=sys.stderr)
    lines = job.log.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in lines[-LOG_LINES:]:
        print_visible(f"  {line}", file=sys.stderr)


SWEEP = Verb(
    summary="Train and evaluate several systems with several seeds.",
    details=(
        "Files are merged into every system, and later ones override earlier ones; a folder has\n"
        "one file for each system. The systems and their files are printed first.\n"
        "A run is stored in RUNS/SYSTEM/seedS, with its output in train.log. The same command\n"
        "finishes an interrupted sweep: finished runs are skipped and interrupted ones are\n"
        "continued. If a run fails, the others continue, and the exit code is 1.\n"
        "With --search, every system is trained with the same trials, in RUNS/trialN, and the\n"
        "best settings of each, chosen on validation, are written to RUNS/best."
    ),
    examples=(
        "hgan sweep --config configs/flickr8k.yaml --config configs/ablations --base full",
        "hgan sweep --config configs/flickr8k.yaml --config configs/ablations --jobs 2",
        "hgan sweep --config configs/flickr8k.yaml --seeds 1 --optim.epochs 2",
        "hgan sweep --config configs/flickr8k.yaml --config configs/baselines --base hgan "
        "--seeds 1 --search optim.learning_rate=2e-4,5e-4 --search loss.name=infonce,hinge "
        "--runs runs/search",
        "hgan sweep --config configs/flickr8k.yaml --config runs/search/best --runs runs/tuned",
    ),
    arguments=_sweep_arguments,
    run=_sweep,
    usage="hgan sweep --config PATH [--config PATH ...] [--seeds 1,2,3] [--jobs N] [...]",
    parser_class=SweepParser,
)
