"""Measure retrieval accuracy: train systems with several seeds, and print mean and deviation.

    python benchmarks/accuracy.py \\
        --system HGAN configs/flickr8k.yaml \\
        --system VSE-infinity configs/flickr8k.yaml configs/baselines/vse_infinity.yaml \\
        --seeds 1 2 3

The checkpoint of each run is chosen on validation. The test split is only used once, after a run is
finished. Results are stored in the folder of the run (`run.json`, `test.json`). Finished parts are
not repeated, so an interrupted benchmark can be continued with the same command, and several
processes can divide the seeds among them. The last lines compare every system with the first one:
the difference of the means, and its standard error.
"""

import argparse
import json
import math
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from hgan.cli.settings import parse_config
from hgan.evaluation.checkpoints import evaluate_checkpoints
from hgan.files import write_json
from hgan.training.config import Config
from hgan.training.folder import run_folder
from hgan.training.trainer import train

RECALLS = [("image_to_text", "i2t"), ("text_to_image", "t2i")]


def main() -> None:
    """Train missing runs, then print the table."""
    arguments = _arguments()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    systems: dict[str, list[dict[str, Any]]] = {}
    for name, *files in arguments.system:
        for seed in arguments.seeds:
            config = _config(name, files, seed, arguments)
            systems.setdefault(name, []).append(_figures(config, arguments.split))
    _print_table(systems, arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--system",
        nargs="+",
        action="append",
        required=True,
        metavar=("NAME", "CONFIG"),
        help="a name and its YAML files; later files override earlier ones",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--split", default="test")
    parser.add_argument("--runs", type=Path, default=Path("runs/accuracy"))
    parser.add_argument("--threads", type=int, help="threads of torch; default: all processors")
    parser.add_argument(
        "--set",
        nargs="*",
        default=[],
        metavar="KEY=VALUE",
        help="settings for all systems, such as optim.epochs=4",
    )
    return parser.parse_args()


def _config(name: str, files: list[str], seed: int, arguments: argparse.Namespace) -> Config:
    words = [word for file in files for word in ("--config", file)]
    words += [f"--{pair}" for pair in arguments.set]
    config = parse_config(words)
    return replace(config, seed=seed, run=arguments.runs / name.replace(" ", "_"))


def _figures(config: Config, split: str) -> dict[str, Any]:
    folder = run_folder(config)
    if not (folder / "run.json").exists():
        start = time.perf_counter()
        best = train(config, resume=True)
        minutes = (time.perf_counter() - start) / 60
        facts = {"epoch": best.epoch, "val_rsum": best.rsum, "minutes": minutes}
        write_json(folder / "run.json", facts)
    if not (folder / f"{split}.json").exists():
        evaluate_checkpoints([folder / "best"], split)
    return _read(folder / "run.json") | _read(folder / f"{split}.json")


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _total(report: dict[str, Any]) -> dict[str, Any]:
    levels = report["protocols"]["full"]
    return levels.get("S") or next(iter(levels.values()))


def _print_table(systems: dict[str, list[dict[str, Any]]], arguments: argparse.Namespace) -> None:
    cutoffs = ("R@1", "R@5", "R@10")
    head = [f"{short} {k}" for _, short in RECALLS for k in cutoffs]
    print(f"\n{arguments.split} split, seeds {arguments.seeds}, checkpoint chosen on validation\n")
    print("| system | " + " | ".join(head) + " | rSum | val rSum | ties | min/run |")
    print("|---" * (len(head) + 5) + "|")
    for name, reports in systems.items():
        totals = [_total(r) for r in reports]
        cells = [
            _spread([t[way]["recall"][k] for t in totals]) for way, _ in RECALLS for k in cutoffs
        ]
        cells.append(f"**{_spread([t['rsum'] for t in totals])}**")
        cells.append(_spread([r["val_rsum"] for r in reports]))
        cells.append(f"{statistics.fmean(t['tied'] for t in totals):.0f}")
        cells.append(f"{statistics.fmean(r['minutes'] for r in reports):.1f}")
        print(f"| {name} | " + " | ".join(cells) + " |")
    _print_levels(systems)
    _print_differences(systems)


def _print_levels(systems: dict[str, list[dict[str, Any]]]) -> None:
    print("\nrSum by level\n")
    for name, reports in systems.items():
        found = {
            level: _spread([r["protocols"]["full"][level]["rsum"] for r in reports])
            for level in reports[0]["protocols"]["full"]
        }
        print(f"- {name}: " + ", ".join(f"{level} {value}" for level, value in found.items()))


def _print_differences(systems: dict[str, list[dict[str, Any]]]) -> None:
    sums = {name: [_total(r)["rsum"] for r in reports] for name, reports in systems.items()}
    (first, ours), *others = sums.items()
    for name, theirs in others:
        difference = statistics.fmean(ours) - statistics.fmean(theirs)
        if min(len(ours), len(theirs)) < 2:
            print(f"\n{first} - {name}: {difference:+.1f} rSum (one seed: no standard error)")
            continue
        error = math.sqrt(
            statistics.variance(ours) / len(ours) + statistics.variance(theirs) / len(theirs)
        )
        print(f"\n{first} - {name}: {difference:+.1f} rSum, standard error {error:.1f}")


def _spread(values: list[float]) -> str:
    mean = statistics.fmean(values)
    return f"{mean:.1f} ± {statistics.stdev(values):.1f}" if len(values) > 1 else f"{mean:.1f}"


if __name__ == "__main__":
    main()
