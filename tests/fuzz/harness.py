"""Give one input to a fuzz target, and raise whatever is wrong with the outcome.

Only two outcomes are right: a value, or one of the errors of `hgan.errors`. Anything else is a
finding: another exception, a failed check of the value, more than `SECONDS` of processor time, or
more memory than the target may use. Both the fuzzer and the tests that replay its findings call
`check`.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hgan.errors import HganError

SECONDS = 5.0
"""Most processor time for one input; a clock would also count what else the machine does."""
MEMORY = 64 * 2**20
"""Most memory for one input in bytes, unless the target says otherwise."""

_PROC = Path("/proc/self")


@dataclass(frozen=True)
class Target:
    """One boundary that bytes from outside cross."""

    run: Callable[[bytes], object]
    """Reads the bytes; checks the value, and lets errors pass."""
    seeds: Callable[[], list[bytes]]
    """Makes valid inputs to start from; `run` must accept all of them."""
    words: tuple[str, ...] = ()
    """Words of the format, to put together inputs from."""
    longest: int = 4096
    """Length of the longest input in bytes."""
    memory: Callable[[], int] = lambda: MEMORY
    """Most memory in bytes; called after `run`."""


class Hang(BaseException):
    """An input took too long. It is no `Exception`, so that no reader takes it for damaged data."""


class Greed(BaseException):
    """An input took too much memory."""


def check(target: Target, data: bytes) -> bool:
    """Give an input to a target; returns whether it was accepted.

    Raises:
        BaseException: the finding.
    """
    before = _memory("VmRSS")
    try:
        with _stopped_after(SECONDS):
            target.run(data)
        accepted = True
    except HganError as error:
        assert str(error).strip(), "an error without a message"
        accepted = False
    taken, most = _memory("VmHWM") - before, target.memory()
    if taken > most:
        raise Greed(f"{taken:,} bytes of memory for {len(data):,} bytes, more than {most:,}")
    return accepted


@contextmanager
def _stopped_after(seconds: float) -> Iterator[None]:
    """Raise `Hang` in the block after so much processor time of this process."""

    def stop(*_: object) -> None:
        raise Hang(f"more than {seconds:g} s of processor time")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _memory(field: str) -> int:
    """Memory of this process in bytes: `VmRSS` now, `VmHWM` the most since `VmRSS` was last read; 0
    where the system does not tell."""
    try:
        if field == "VmRSS":
            (_PROC / "clear_refs").write_text("5")  # forgets the peak
        lines = (_PROC / "status").read_text().splitlines()
    except OSError:
        return 0
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
