"""Search for settings: the same trials for every system, the best ones chosen on validation.

A trial is a choice of settings, such as a learning rate and a loss. Every system is trained with
each of them, so that no method is tuned more than another.
"""

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean

import yaml  # type: ignore[import-untyped]

from hgan.errors import ConfigError
from hgan.files import atomic_write
from hgan.training.plan import plan_runs
from hgan.training.run import Run

BEST = "best"
"""Folder, beside the trials, of a YAML file for each system with its best settings."""


def plan_trials(search: Sequence[str], number: int | None) -> list[list[str]]:
    """The settings of each trial, as KEY=VALUE.

    Args:
        search: for each setting, KEY=VALUE,VALUE,...
        number: number of trials, drawn from all combinations with a fixed seed; None for all.

    Raises:
        ConfigError: an entry is malformed, a key is given twice, or there are fewer combinations.
    """
    choices: dict[str, list[str]] = {}
    for entry in search:
        key, _, values = entry.partition("=")
        if not key or not all(found := values.split(",")) or key in choices:
            raise ConfigError(
                f"--search {entry}: expected KEY=VALUE,VALUE,..., such as "
                "optim.learning_rate=2e-4,5e-4, once for each key"
            )
        choices[key] = found
    combinations = list(itertools.product(*choices.values()))
    if number is not None and not 1 <= number <= len(combinations):
        raise ConfigError(f"--trials {number}: there are {len(combinations)} combinations")
    chosen = list(range(len(combinations)))
    if number is not None:
        chosen = sorted(random.Random(0).sample(chosen, number))
    return [
        [f"{key}={value}" for key, value in zip(choices, combinations[i], strict=True)]
        for i in chosen
    ]


def plan_search(
    systems: dict[str, list[Path]],
    seeds: list[int],
    runs: Path,
    settings: list[str],
    trials: Sequence[list[str]],
    plugins: Sequence[str] = (),
) -> list[Run]:
    """The runs of all trials, in RUNS/trialN/SYSTEM/seedS; see `plan_runs`."""
    planned = []
    for number, trial in enumerate(trials, start=1):
        folder = runs / f"trial{number:02}"
        for run in plan_runs(systems, seeds, folder, [*settings, *trial], plugins):
            planned.append(replace(run, system=f"{run.system} {' '.join(trial)}"))
    return planned


def write_best(
    systems: Sequence[str], seeds: Sequence[int], trials: Sequence[list[str]],
    planned: Sequence[Run], runs: Path,
) -> dict[str, tuple[list[str], float]]:  # fmt: skip
    """Write the settings of the best trial of each system to RUNS/best/SYSTEM.yaml.

    The best trial has the highest rSum on validation, averaged over the seeds. The files contain
    all settings but the data, the folder and the seed, for `hgan sweep --config RUNS/best`.

    Args:
        systems, seeds, trials: the arguments of `plan_search`.
        planned: its result, after training.
        runs: RUNS.

    Returns:
        The settings of the best trial and its rSum, by system; systems without a finished trial are
        left out.
    """
    best = {}
    for name in systems:
        finished: list[tuple[float, list[str], Run]] = []
        for number, trial in enumerate(trials, start=1):
            folder = runs / f"trial{number:02}" / name
            own = [run for run in planned if run.config.run == folder]
            found = [run.best_rsum() for run in own]
            rsums = [value for value in found if value is not None]
            if len(rsums) == len(seeds):
                finished.append((mean(rsums), trial, own[0]))
        if not finished:
            continue
        rsum, trial, run = max(finished, key=lambda item: item[0])
        values = run.config.as_dict()
        kept = {key: values[key] for key in ("vision", "text", "model", "loss", "optim")}
        head = f"# {name}: the best of {len(trials)} trials, rSum {rsum:.1f} on validation.\n"
        (runs / BEST).mkdir(parents=True, exist_ok=True)
        with atomic_write(runs / BEST / f"{name}.yaml") as file:
            file.write((head + yaml.safe_dump(kept, sort_keys=False)).encode())
        best[name] = trial, rsum
    return best
