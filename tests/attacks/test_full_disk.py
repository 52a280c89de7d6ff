"""A disk that is full, for real: nothing is lost, and work goes on when there is space again."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from hgan.cli import main
from hgan.index.indexer import IndexReport, index_folder
from hgan.index.store.edge import EdgeStore
from hgan.index.verify import verify_index
from hgan.runtime.bundle import Bundle
from hgan.search.searcher import open_index
from tests.attacks.conftest import fill
from tests.fixtures.photos import COLOURS, save_photo
from tests.fixtures.service_process import KEY, serving

pytestmark = pytest.mark.slow

MB = 2**20


@contextmanager
def connected(index: Path, temporary: Path) -> Iterator[httpx.Client]:
    """A client of `hgan serve` as a process, with its folder for temporary files."""
    temporary.mkdir(exist_ok=True)
    with (
        serving(index, env={"TMPDIR": str(temporary)}) as (process, url),
        httpx.Client(base_url=url, headers={"X-API-Key": KEY}, timeout=60) as client,
    ):
        yield client
        assert process.poll() is None  # it has survived


def upload(client: httpx.Client, photo: Path, path: str, filling: int = 0) -> httpx.Response:
    """Upload a photo; `filling` bytes at its end, which are not decoded, make it larger."""
    data = photo.read_bytes() + bytes(filling)
    return client.post("/v1/items", files={"photo": data}, data={"path": path})


def search(client: httpx.Client) -> dict[str, float]:
    """The scores of all photos."""
    answer = client.post("/v1/search", json={"text": "a red photo", "k": 50})
    assert answer.status_code == 200
    return {hit["path"]: hit["score"] for hit in answer.json()["hits"]}


@pytest.mark.parametrize("left", [2 * MB, 4096, 0])
def test_a_service_on_a_full_disk(
    photos: Path, disk: Path, tmp_path: Path, bundle: Bundle, left: int
) -> None:
    folder, to = disk / "photos", disk / "index"
    shutil.copytree(photos, folder)
    index_folder(folder, to, bundle)
    new = save_photo(tmp_path / "new.png", COLOURS["red"], seed=77)
    with connected(to, disk / "temporary") as client:
        assert upload(client, new, "before.png").status_code == 201
        scores = search(client)
        assert len(scores) == 13
        item = client.post("/v1/lookup", json={"path": "red/red 1.png"}).json()["id"]
        ballast = fill(disk, left)
        for filling in (0, 8 * MB):  # a large upload is kept on disk while it is received
            answer = upload(client, new, "new.png", filling)
            assert answer.status_code == 507
            assert answer.json()["detail"] == "the disk is full; nothing was stored"
        answer = client.delete(f"/v1/items/{item}")
        assert answer.status_code == 507
        assert answer.json()["detail"] == "the disk is full; nothing was changed"
        assert not (folder / "new.png").exists()
        assert search(client) == scores
        ballast.unlink()
        assert upload(client, new, "new.png").status_code == 201
        assert client.delete(f"/v1/items/{item}").status_code == 204
        expected = scores.keys() - {"red/red 1.png"} | {"new.png"}
        assert search(client).keys() == expected
        fill(disk, left)  # also when the service ends
    (disk / "ballast").unlink()
    with open_index(to) as index:
        assert len(index) == 13
    assert verify_index(to).intact == 13
    assert not [path.name for path in folder.rglob(".*")]
    # The file of a photo that was removed over HTTP is still there.
    assert index_folder(folder, to, bundle) == IndexReport(added=1, unchanged=13)


def test_a_full_disk_where_only_the_photos_are(
    photos: Path, disk: Path, tmp_path: Path, bundle: Bundle
) -> None:
    folder, to = disk / "photos", tmp_path / "index"
    shutil.copytree(photos, folder)
    index_folder(folder, to, bundle)
    new = save_photo(tmp_path / "new.png", COLOURS["red"], seed=77)
    with connected(to, tmp_path / "temporary") as client:
        scores = search(client)
        ballast = fill(disk, 0)
        for path in ("new.png", "other folder/new.png"):
            answer = upload(client, new, path)
            assert answer.status_code == 507
            assert answer.json()["detail"] == "the disk is full; nothing was stored"
        assert search(client) == scores
        ballast.unlink()
        assert not (folder / "other folder").exists()
        assert upload(client, new, "new.png").status_code == 201
    assert index_folder(folder, to, bundle) == IndexReport(unchanged=13)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_service_that_starts_on_a_full_or_read_only_disk(
    photos: Path, disk: Path, tmp_path: Path, bundle: Bundle, read_only: bool
) -> None:
    folder, to = tmp_path / "own", disk / "index"
    shutil.copytree(photos, folder)
    index_folder(folder, to, bundle)
    with connected(to, tmp_path / "temporary") as client:
        scores = search(client)
    if read_only:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        expected = 403, "the index is read-only; it can only be searched"
    else:
        fill(disk, 0)
        expected = 507, "the disk is full; nothing was stored"
    with connected(to, tmp_path / "temporary") as client:
        assert search(client) == scores
        answer = upload(client, photos / "red 0.png", "new.png")
        assert (answer.status_code, answer.json()["detail"]) == expected
        assert not (folder / "new.png").exists()
        assert search(client) == scores
    assert list((tmp_path / "temporary").iterdir()) == []


def test_indexing_stops_on_a_full_disk_and_resumes(
    disk: Path,
    tmp_path: Path,
    bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Something else fills the disk after the first photos have been stored."""
    folder, to = tmp_path / "photos", disk / "index"
    for i in range(100):
        save_photo(folder / f"{i}.png", COLOURS["red"], seed=i)
    command = ["index", str(folder), "--to", str(to), "--bundle", str(bundle.folder)]
    upsert, stored = EdgeStore.upsert, []

    def filling(store: EdgeStore, points: Any) -> None:
        upsert(store, points)
        stored.extend(points)
        if not (disk / "ballast").exists():
            fill(disk, 0)

    with monkeypatch.context() as patch:
        patch.setattr(EdgeStore, "upsert", filling)
        assert main(command) != 0
    assert 0 < len(stored) < 100
    error = capsys.readouterr().err
    assert "disk is full" in error
    assert "Traceback" not in error
    assert main(command) != 0
    assert "disk is full" in capsys.readouterr().err
    (disk / "ballast").unlink()
    assert main(command) == 0
    output = capsys.readouterr().out
    assert f"{100 - len(stored)} added, 0 updated, 0 removed, {len(stored)} unchanged" in output
    assert verify_index(to).intact == 100


def test_a_new_index_on_a_full_disk(photos: Path, disk: Path, bundle: Bundle, capsys: Any) -> None:
    to = disk / "index"
    command = ["index", str(photos), "--to", str(to), "--bundle", str(bundle.folder)]
    for left in (100 * MB, 0):
        ballast = fill(disk, left)
        assert main(command) != 0
        error = capsys.readouterr().err
        assert "disk is full" in error or "No space left" in error
        ballast.unlink()
    assert main(command) == 0
    assert "12 added" in capsys.readouterr().out


def test_an_engine_that_meets_a_full_disk(photos: Path, disk: Path, bundle: Bundle) -> None:
    """The check before each write cannot see what others write at the same moment: the process may
    end with a bus error. The index is complete after the next run."""
    to = disk / "index"
    index_folder(photos, to, bundle)
    for i in range(200):
        save_photo(photos / f"more {i}.png", COLOURS["green"], seed=100 + i)
    code = """
        import sys
        from pathlib import Path
        from hgan.index.indexer import index_folder
        from hgan.index.store import edge
        edge.SPACE_KEPT = edge.OPEN_SPACE = 0
        index_folder(*map(Path, sys.argv[1:]))
    """
    ballast = fill(disk, 64 * 1024)
    source = "\n".join(line.strip() for line in code.splitlines())
    command = [sys.executable, "-c", source, str(photos), str(to), str(bundle.folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode != 0
    ballast.unlink()
    report = index_folder(photos, to, bundle)
    assert report.added + report.updated + report.unchanged == 212
    assert report.skipped == {}
    assert verify_index(to).intact == 212
    with open_index(to, bundle) as index:
        assert len(index.search("a green photo", 212)) == 212
