"""The capacity plan: its bytes are those of the estimate, and its machines hold what they must."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgan.index.estimate import ENTRY_BYTES
from scripts.plan_capacity import FULL, GB, LINK_BYTES, TRACKED, Costs, Machines, markdown, plan

SCRIPT = Path(__file__).parents[2] / "scripts" / "plan_capacity.py"
MACHINES = Machines(memory_gb=64, disk_gb=2000, hour=0.5, disk_month=0.08, core_hour=0.04)


def run(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, SCRIPT, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True)


@given(
    photos=st.integers(1, 10**10),
    disk=st.integers(1, 20_000),
    memory=st.integers(1, 20_000),
    replicas=st.integers(1, 3),
)
def test_machines_are_enough_and_not_one_too_many(
    photos: int, disk: int, memory: int, replicas: int
) -> None:
    found = plan(photos, Costs(disk, memory, 60, 2), MACHINES, replicas, 64)

    def fits(machines: int) -> bool:
        return (
            machines >= replicas
            and replicas * photos * memory <= machines * FULL * MACHINES.memory_gb * GB * 1.000001
            and replicas * photos * disk <= machines * FULL * MACHINES.disk_gb * GB * 1.000001
        )

    assert fits(found.machines) and (found.machines == 1 or not fits(found.machines - 1))
    assert found.shards == 1 if found.machines == 1 else found.shards >= 2 * found.machines


def test_time_and_money_by_hand() -> None:
    costs = Costs(disk=5000, memory=1000, encode_ms=36, index_ms=3.6)
    found = plan(10**8, costs, MACHINES, replicas=2, cores=10)
    assert (found.machines, found.shards) == (5, 12)  # 200 GB in 0.7 of 64 GB each
    assert found.core_hours == pytest.approx(1000)
    assert found.rebuild_hours == pytest.approx(100)
    assert found.build_price == pytest.approx(40)
    assert found.month_price == pytest.approx(5 * 0.5 * 730 + 1000 * 0.08)
    storing = plan(10**8, costs, MACHINES, replicas=2, cores=10**6)
    assert storing.rebuild_hours == pytest.approx(2 * 1e8 * 3.6 / 3.6e6 / 5)


def test_by_command() -> None:
    """With the shipped bundle: 1,152 dense numbers, and 9 regions of 144, of a byte each."""
    done = run("--photos", "1e6", "--markdown")
    assert done.returncode == 0, done.stderr
    assert f"{1152 + 9 * 144 + ENTRY_BYTES:,} bytes on disk" in done.stdout
    assert f"{1152 + LINK_BYTES + TRACKED:,} in memory" in done.stdout
    assert "| photos | 1,000,000 |" in done.stdout
    twice = run("--photos", "1e6", "--quantize", "none", "--regions", "36")
    assert f"{2 * (1152 + 36 * 144) + ENTRY_BYTES:,} bytes on disk" in twice.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--photos", "1.5"], "not a whole number"),
        (["--replicas", "0"], "at least 1"),
        (["--encode-ms", "-1"], "larger than 0"),
        (["--regions", "5"], "regions cannot be 5"),
        (["--bundle", "nowhere"], "no model bundle here"),
    ],
)
def test_bad_input(words: list[str], said: str) -> None:
    done = run(*words)
    assert done.returncode != 0 and said in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_table_of_the_documentation_is_printed() -> None:
    """Its rows are those of the command beside it."""
    page = (SCRIPT.parents[1] / "docs/scaling.md").read_text()
    costs = Costs(disk=1, memory=1, encode_ms=1, index_ms=1)
    for line in markdown([plan(10**6, costs, MACHINES, 2, 64)]).splitlines():
        assert line.split(" | ")[0] in page
    words = next(line for line in page.splitlines() if line.startswith("python scripts/plan_cap"))
    done = run(*words.split()[2:], "--markdown")
    assert done.returncode == 0, done.stderr
    table = done.stdout[done.stdout.index("| photos") :].strip()
    assert table in page
