"""What fuzzing has found stays mended: its inputs, and the seeds, through the targets again."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hgan.errors import DataError
from tests.fuzz import harness
from tests.fuzz.__main__ import CORPUS
from tests.fuzz.harness import Greed, Hang, Target, check
from tests.fuzz.json_changes import changed
from tests.fuzz.targets import TARGETS

FOUND = sorted(path for path in CORPUS.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_are_accepted(name: str) -> None:
    for seed in TARGETS[name].seeds():
        assert len(seed) <= TARGETS[name].longest
        assert check(TARGETS[name], seed)


@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_former_findings(path: Path) -> None:
    check(TARGETS[path.parent.name], path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_changed_seeds(name: str) -> None:
    """A little fuzzing without a fuzzer: cuts, bytes that change, and values of JSON that do."""
    for seed in TARGETS[name].seeds()[:4]:
        for number in range(20):
            place = len(seed) * number // 20
            flipped = seed[:place] + bytes([seed[place] ^ 0xFF]) + seed[place + 1 :]
            for data in (seed[:place], flipped, changed(seed, number)):
                if data is not None:
                    check(TARGETS[name], data)


def _sleep(_: bytes) -> None:
    started = time.process_time()
    while time.process_time() < started + 10:
        pass


@pytest.mark.parametrize(
    ("run", "finding"),
    [
        (lambda data: data[9], IndexError),
        (_sleep, Hang),
        (lambda _: b"a" * 2 * harness.MEMORY, Greed),
    ],
)
def test_the_harness_finds(
    run: Callable[[bytes], object], finding: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness, "SECONDS", 1.0)
    with pytest.raises(finding):
        check(Target(run, list), b"")


def test_an_error_of_ours_is_no_finding() -> None:
    def refuse(_: bytes) -> None:
        raise DataError("a.jpg: not a photo")

    assert not check(Target(refuse, list), b"")
    assert check(Target(len, list), b"")
