"""Memory of the service while the largest photos are uploaded, two at a time."""

import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from PIL import Image

from hgan.index.indexer import index_folder
from tests.attacks.decode_peak import status
from tests.attacks.test_decoding_memory import FORMATS, MB
from tests.fixtures.photos import COLOURS, save_photo
from tests.fixtures.service_process import KEY, serving

CLEAR = Path("/proc/self/clear_refs")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.access(CLEAR, os.W_OK), reason="resets the peak in /proc"),
]

PATIENCE = 10.0
"""Seconds until memory must have been returned."""


class Service(NamedTuple):
    """A running service."""

    process: int
    client: httpx.Client
    folder: Path

    def upload_twice(self, photo: Path, name: str) -> list[int]:
        """Upload a photo under two names at the same time; returns the statuses."""

        def upload(number: int) -> int:
            data = {"path": f"{number}/{name}", "replace": "true"}
            with photo.open("rb") as file:
                answer = self.client.post("/v1/items", files={"photo": file}, data=data)
            return answer.status_code

        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(upload, range(2)))

    def memory_above_idle(self, photo: Path) -> tuple[list[int], int, int]:
        """Upload a photo twice at the same time; the statuses, and the peak and the rest of the
        memory above that of the idle service, in bytes."""
        idle = status("VmRSS", self.process)
        Path(f"/proc/{self.process}/clear_refs").write_text("5")  # resets VmHWM
        statuses = self.upload_twice(photo, photo.name)
        peak = status("VmHWM", self.process) - idle
        deadline = time.monotonic() + PATIENCE
        while (after := status("VmRSS", self.process) - idle) > 50 * MB:
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        print(photo.name, statuses, peak // MB, after // MB)
        return statuses, peak, after


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """`hgan serve` with the bundle that ships with hgan, after some requests."""
    place = tmp_path_factory.mktemp("service")
    folder = place / "photos"
    for name, colour in COLOURS.items():
        save_photo(folder / f"{name}.png", colour)
    index_folder(folder, place / "index")
    with (
        serving(place / "index") as (process, url),
        httpx.Client(base_url=url, headers={"X-API-Key": KEY}, timeout=120) as client,
    ):
        served = Service(process.pid, client, folder)
        Image.new("RGB", (2000, 2000), (9, 9, 9)).save(place / "warm.png")
        for _ in range(5):
            assert set(served.upload_twice(place / "warm.png", "warm.png")) <= {200, 201}
        yield served


@pytest.mark.parametrize("name", FORMATS)
def test_two_of_the_largest_photos_at_once(service: Service, tmp_path: Path, name: str) -> None:
    save, side, _ = FORMATS[name]
    save(tmp_path / name, side)
    statuses, peak, after = service.memory_above_idle(tmp_path / name)
    assert set(statuses) <= {200, 201}
    assert (service.folder / "0" / name).stat().st_size == (tmp_path / name).stat().st_size
    assert peak <= 800 * MB
    assert after <= 50 * MB


@pytest.mark.parametrize("name", [name for name, (_, side, _) in FORMATS.items() if side < 10_000])
def test_two_photos_of_10_to_the_8_pixels_are_refused(
    service: Service, tmp_path: Path, name: str
) -> None:
    FORMATS[name][0](tmp_path / name, 10_000)
    shutil.rmtree(service.folder / "0", ignore_errors=True)
    statuses, peak, after = service.memory_above_idle(tmp_path / name)
    assert statuses == [415, 415]
    assert not (service.folder / "0" / name).exists()
    assert peak <= 800 * MB
    assert after <= 50 * MB
