"""Plan an index of many photos: bytes, time, machines and money, for several numbers of photos.

    python scripts/plan_capacity.py
    python scripts/plan_capacity.py --photos 1e6 1e8 --regions 9 --encode-ms 60 --memory-gb 128

Bytes follow from the widths of the model (`hgan.index.estimate`), as for `hgan index --estimate`.
The times of a photo are arguments, because they depend on the machine: `hgan index --estimate`
measures `--encode-ms`, `benchmarks/growth.py` the others. So are the prices: the defaults are
assumptions, near the list prices of large clouds; put in your own.

Every number is calculated from these, and none is measured on a cluster.
"""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hgan.errors import HganError
from hgan.index.estimate import item_bytes
from hgan.index.store.contract import LINKS
from hgan.index.store.manifest import IndexManifest
from hgan.runtime.bundle import Bundle
from hgan.runtime.region_grid import pooled

FULL = 0.7
"""Part of a machine's memory and disk that is used: the rest is for the system, for temporary
copies while a graph is built, and for replicas of a machine that was lost."""
SHARDS_EACH, LEAST_SHARDS = 2, 12
"""Shards for each machine, and the least of a cluster: twelve can be divided evenly among 2, 3, 4,
6 and 12 machines, and the number of shards is fixed when the collection is created."""
LINK_BYTES = 2 * LINKS * 4
"""Bytes of an item in the HNSW graph, without compression: twice `LINKS` at most, of 4 bytes."""
TRACKED = 64
"""Bytes of memory of an item for its id and version, assumed."""
GB = 1e9
HOUR_MS = 3.6e6
HOURS_A_MONTH = 730


@dataclass(frozen=True)
class Costs:
    """What one photo costs."""

    disk: int
    """Bytes on disk."""
    memory: int
    """Bytes that should be in memory: the vectors that every search reads, the graph, and ids."""
    encode_ms: float
    """Milliseconds of one core to read and encode it."""
    index_ms: float
    """Milliseconds to store it and to add it to the graph."""


@dataclass(frozen=True)
class Machines:
    """The machines, and their assumed list prices."""

    memory_gb: float
    disk_gb: float
    hour: float
    """Price of a database machine for an hour, without its disk."""
    disk_month: float
    """Price of a gigabyte of disk for a month."""
    core_hour: float
    """Price of a core that encodes, for an hour."""


@dataclass(frozen=True)
class Plan:
    """An index of a number of photos."""

    photos: int
    disk: float
    """Bytes of all replicas."""
    memory: float
    """Bytes of all replicas."""
    machines: int
    shards: int
    core_hours: float
    """Of encoding all photos."""
    rebuild_hours: float
    """Of encoding on the given cores while all machines store; the slower of the two."""
    build_price: float
    month_price: float


def plan(photos: int, costs: Costs, machines: Machines, replicas: int, cores: int) -> Plan:
    """Calculate an index.

    Args:
        photos: number of photos.
        costs: what each of them costs.
        machines: the database machines.
        replicas: copies of each shard, on different machines.
        cores: cores that encode.
    """
    disk, memory = (replicas * photos * each for each in (costs.disk, costs.memory))
    needed = max(
        replicas,
        math.ceil(memory / (FULL * machines.memory_gb * GB)),
        math.ceil(disk / (FULL * machines.disk_gb * GB)),
    )
    shards = 1 if needed == 1 else max(LEAST_SHARDS, SHARDS_EACH * needed)
    core_hours = photos * costs.encode_ms / HOUR_MS
    storing = replicas * photos * costs.index_ms / HOUR_MS / needed
    return Plan(
        photos=photos,
        disk=disk,
        memory=memory,
        machines=needed,
        shards=shards,
        core_hours=core_hours,
        rebuild_hours=max(core_hours / cores, storing),
        build_price=core_hours * machines.core_hour,
        month_price=needed * machines.hour * HOURS_A_MONTH + disk / GB * machines.disk_month,
    )


ROWS: dict[str, Callable[[Plan], str]] = {
    "disk, all replicas": lambda plan: _bytes(plan.disk),
    "memory, all replicas": lambda plan: _bytes(plan.memory),
    "machines": lambda plan: f"{plan.machines:,}",
    "shards": lambda plan: f"{plan.shards:,}",
    "photos per shard": lambda plan: _count(plan.photos / plan.shards),
    "core-hours to encode": lambda plan: _count(plan.core_hours),
    "hours to rebuild": lambda plan: _count(plan.rebuild_hours),
    "price of encoding": lambda plan: f"${_count(plan.build_price)}",
    "price per month": lambda plan: f"${_count(plan.month_price)}",
    "per month and million": lambda plan: f"${plan.month_price / plan.photos * 1e6:,.2f}",
}


def table(plans: Sequence[Plan]) -> Table:
    """A column for each number of photos."""
    made = Table("photos", *(f"{plan.photos:,}" for plan in plans))
    for name, show in ROWS.items():
        made.add_row(name, *map(show, plans))
    return made


def markdown(plans: Sequence[Plan]) -> str:
    """The same for a document."""
    rows = [["photos", *(f"{plan.photos:,}" for plan in plans)], ["---"] * (1 + len(plans))]
    rows += [[name, *map(show, plans)] for name, show in ROWS.items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    """Print the costs of a photo, and the plan of each number of photos."""
    options = _parser().parse_args()
    try:
        bundle = pooled(Bundle.load(options.bundle), options.regions)
    except HganError as error:
        sys.exit(str(error))
    quantize = None if options.quantize == "none" else options.quantize
    manifest = IndexManifest.of("/photos", bundle, quantize, regions=options.regions)
    item = item_bytes(manifest, options.regions)
    costs = Costs(
        disk=item.disk,
        memory=item.searched + LINK_BYTES + TRACKED,
        encode_ms=options.encode_ms,
        index_ms=options.store_ms + options.graph_ms,
    )
    machines = Machines(
        options.memory_gb, options.disk_gb, options.hour, options.disk_month, options.core_hour
    )
    plans = [
        plan(photos, costs, machines, options.replicas, options.cores) for photos in options.photos
    ]
    print(
        f"A photo: {costs.disk:,} bytes on disk and {costs.memory:,} in memory for each replica;\n"
        f"{costs.encode_ms:g} ms of a core to encode, {costs.index_ms:g} ms to store.\n"
        f"{options.replicas} replicas; machines of {machines.memory_gb:g} GB memory and "
        f"{machines.disk_gb:g} GB disk at ${machines.hour:g} an hour;\n"
        f"disk at ${machines.disk_month:g} per GB and month; {options.cores} cores at "
        f"${machines.core_hour:g} an hour encode.\n"
    )
    if options.markdown:
        print(markdown(plans))
    else:
        Console().print(table(plans))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--photos", type=_photos, nargs="+", default=[10**6, 10**8, 10**9], help="such as 1e8")
    add("--bundle", type=Path, help="default: the bundle of hgan")
    add("--regions", type=_whole, default=9, help="as for `hgan index`")
    add("--quantize", choices=["int8", "none"], default="int8", help="as for `hgan index`")
    add("--encode-ms", type=_positive, default=39.0, help="of a core, to read and encode a photo")
    add("--store-ms", type=_positive, default=0.78, help="to store a photo")
    add("--graph-ms", type=_positive, default=1.04, help="to add it to the graph")
    add("--replicas", type=_whole, default=2, help="copies of each shard")
    add("--cores", type=_whole, default=64, help="cores that encode")
    add("--memory-gb", type=_positive, default=64.0, help="memory of a database machine")
    add("--disk-gb", type=_positive, default=2000.0, help="disk of a database machine")
    add("--hour", type=_positive, default=0.50, help="its price in dollars an hour")
    add("--disk-month", type=_positive, default=0.08, help="dollars per GB of disk and month")
    add("--core-hour", type=_positive, default=0.04, help="dollars an hour for a core")
    add("--markdown", action="store_true", help="print a table for a document")
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: must be larger than 0")
    return value


def _whole(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be at least 1")
    return value


def _photos(text: str) -> int:
    value = _positive(text)
    if value != int(value):
        raise argparse.ArgumentTypeError(f"{text}: not a whole number")
    return int(value)


def _bytes(number: float) -> str:
    if number < 1e12:
        return f"{_count(number / GB)} GB"
    return f"{_count(number / 1e12)} TB"


def _count(number: float) -> str:
    """A number with two significant digits."""
    return f"{float(f'{number:.2g}'):,.2f}".rstrip("0").rstrip(".")


if __name__ == "__main__":
    main()
