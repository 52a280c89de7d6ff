"""Decode photos in threads, and print the memory of this process as JSON, in bytes.

    python decode_peak.py COUNT SIZE FILE

COUNT threads decode FILE at the same time, for a model whose input has SIZE pixels a side.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from hgan.errors import DataError
from hgan.runtime.images import open_photo
from hgan.runtime.preprocessing import Preprocessing


def status(field: str, process: int | str = "self") -> int:
    """A field of /proc/PROCESS/status in bytes."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def decode(path: Path, size: int) -> str:
    """Decode and resize a photo; returns its mean colour, or the reason why it is refused."""
    try:
        return str(
            Preprocessing(size)
            .pixels(open_photo(path, hint=size))
            .mean(axis=(0, 1))
            .round()
            .tolist()
        )
    except DataError as error:
        return str(error)


def main() -> None:
    """Decode the photo, and print idle, peak and final memory, and what was decoded."""
    count, size, path = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    Image.init()
    with ThreadPoolExecutor(count) as pool:
        small = path.with_name("small.png")
        list(pool.map(decode, [small] * count, [size] * count))
        idle = status("VmRSS")
        found = list(pool.map(decode, [path] * count, [size] * count))
        print(
            json.dumps(
                {
                    "peak": status("VmHWM") - idle,
                    "after": status("VmRSS") - idle,
                    "found": sorted(set(found)),
                }
            )
        )


if __name__ == "__main__":
    main()
