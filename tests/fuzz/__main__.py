"""Fuzz every boundary for some seconds: `python -m tests.fuzz [--seconds N] [TARGET ...]`.

What a target has learnt is kept in `.fuzz/TARGET`, so that the next run goes on from there. A
finding ends the run of its target: its input is `.fuzz/found/TARGET-*`, and the log
`.fuzz/TARGET.log` ends with the error. Once it is mended, a small input that showed it belongs in
`tests/fuzz/corpus/TARGET`.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
"""Inputs of former findings."""
LEARNT = Path(".fuzz")

_LIMITS = ["-timeout=60", "-rss_limit_mb=2048"]
"""For what the harness cannot stop: loops in C code, and memory that grows from input to input. The
time is that of the clock, and long, since a fuzzer may run beside other work."""


def main() -> None:
    """Fuzz the targets one after another; ends with 1 if there was a finding."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="time of each target")
    given = parser.parse_args()
    if unknown := set(given.targets) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    intact = [fuzz(name, given.seconds) for name in given.targets or TARGETS]
    sys.exit(0 if all(intact) else 1)


def fuzz(name: str, seconds: int) -> bool:
    """Fuzz one target, and print one line about it; returns whether there was no finding."""
    target, found = TARGETS[name], LEARNT / "found"
    (LEARNT / name).mkdir(parents=True, exist_ok=True)
    found.mkdir(exist_ok=True)
    with TemporaryDirectory() as scratch:
        seeds, words = Path(scratch) / "seeds", Path(scratch) / "words"
        seeds.mkdir()
        for number, seed in enumerate(target.seeds()):
            (seeds / str(number)).write_bytes(seed)
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))
        folders = [LEARNT / name, seeds, CORPUS / name]
        options = [f"-max_total_time={seconds}", f"-max_len={target.longest}", f"-dict={words}"]
        options += [f"-artifact_prefix={found}/{name}-", "-print_final_stats=1", *_LIMITS]
        command = [sys.executable, "-m", "tests.fuzz.fuzzer", name, *options]
        with (LEARNT / f"{name}.log").open("w") as log:
            used = [str(folder) for folder in folders if folder.is_dir()]
            ended = subprocess.run([*command, *used], stdout=log, stderr=log, check=False)
    runs = re.findall(r"number_of_executed_units: *(\d+)", log_of(name))
    count = f"{int(runs[-1]):,}" if runs else "an unknown number of"
    outcome = "nothing found" if ended.returncode == 0 else f"a finding, see {LEARNT}/{name}.log"
    print(f"{name}: {count} executions in {seconds} s, {outcome}", flush=True)
    return ended.returncode == 0


def log_of(name: str) -> str:
    """What the fuzzer printed."""
    return (LEARNT / f"{name}.log").read_text(errors="replace")


def _escaped(word: str) -> str:
    """A word for libFuzzer's dictionary, which has its own escapes of bytes."""
    return word.replace('"', '\\"')


if __name__ == "__main__":
    main()
