"""What concerns Qdrant Edge alone: kills, damage, full disks, two processes."""

import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import qdrant_edge

from hgan.errors import IndexingError
from hgan.index.store import edge, edge_schema
from hgan.index.store.contract import BEAM, Entry, Point, beam
from hgan.index.store.edge import EdgeStore
from hgan.index.store.payload import Widths
from tests.fixtures.disks import mounted
from tests.fixtures.points import DENSE, LOCAL, points, unit


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
def test_acknowledged_points_survive_a_kill(tmp_path):
    code = f"""
        import os, signal, sys
        from pathlib import Path
        from hgan.index.store.edge import EdgeStore
        from tests.fixtures.points import points
        store = EdgeStore.create(Path(sys.argv[1]), {DENSE}, {LOCAL})
        for point in points(300):
            store.upsert([point])
            print(point.entry.id, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = run(code, tmp_path / "edge")
    assert done.returncode == -signal.SIGKILL, done.stderr
    acknowledged = done.stdout.split()
    with EdgeStore.load(tmp_path / "edge", DENSE, LOCAL) as store:
        assert {entry.id for entry in store.entries()} == set(acknowledged)
        assert len(store.fetch(acknowledged, local=True)) == 300


@pytest.mark.slow
def test_one_process_at_a_time(tmp_path):
    with EdgeStore.create(tmp_path / "edge", DENSE, LOCAL):
        code = f"""
            import sys
            from pathlib import Path
            from hgan.index.store.edge import EdgeStore
            EdgeStore.load(Path(sys.argv[1]), {DENSE}, {LOCAL})
        """
        done = run(code, tmp_path / "edge")
    assert "InUseError" in done.stderr
    assert "another process is using this index" in done.stderr


def test_nothing_to_load(tmp_path):
    with pytest.raises(IndexingError, match="--repair"):
        EdgeStore.load(tmp_path / "nowhere", DENSE, LOCAL)


@pytest.mark.parametrize("file", ["segment.json", "chunk_0*"])
def test_damaged_files(tmp_path, file):
    folder = tmp_path / "edge"
    with EdgeStore.create(folder, DENSE, LOCAL) as store:
        store.upsert(points(10))
    for path in folder.rglob(file):
        path.write_bytes(b"")
    with (
        pytest.raises(IndexingError, match="--repair"),
        EdgeStore.load(folder, DENSE, LOCAL) as store,
    ):
        store.search(points(1)[0].dense, 5)


@pytest.mark.parametrize("quantize", [None, "int8"])
def test_what_candidates_alone_need_takes_no_memory(tmp_path, quantize):
    """Local vectors are read from the disk as needed."""
    with EdgeStore.create(tmp_path / "edge", DENSE, LOCAL, quantize) as store:
        store.upsert(points(10))
    [file] = tmp_path.rglob("segment.json")
    vectors = json.loads(file.read_text())["config"]["vector_data"]
    assert vectors["local"]["storage_type"] == "ChunkedMmap"
    assert vectors["dense"]["storage_type"] == "InRamChunkedMmap"


def test_an_index_in_8_bits_of_an_older_version(tmp_path):
    """Its dense vectors are in float16 and in 8 bits, with the CRC of the former."""
    stored, old, new = points(60), Widths(DENSE, LOCAL), Widths(DENSE, LOCAL, "int8")
    distance, int8 = qdrant_edge.Distance.Dot, qdrant_edge.ScalarType.Int8
    vectors = {
        "dense": qdrant_edge.EdgeVectorParams(
            DENSE,
            distance,
            datatype=qdrant_edge.VectorStorageDatatype.Float16,
            quantization_config=qdrant_edge.ScalarQuantizationConfig(int8),
        ),
        "local": edge_schema._vectors(DENSE, LOCAL, "int8")["local"],
    }
    (tmp_path / "edge").mkdir()
    shard = qdrant_edge.EdgeShard.create(
        str(tmp_path / "edge"), qdrant_edge.EdgeConfig(vectors=vectors)
    )
    records = []
    for point in stored:
        payload = new.payload(point)
        payload["checksums"]["dense"] = old.payload(point)["checksums"]["dense"]
        records.append(qdrant_edge.Point(point.entry.id, new.named(point), payload))
    shard.update(qdrant_edge.UpdateOperation.upsert_points(records))
    shard.close()
    query = unit(np.random.default_rng(9).normal(size=DENSE))
    with EdgeStore.load(tmp_path / "edge", DENSE, LOCAL, "int8") as store:
        expected = sorted(stored, key=lambda point: -float(point.dense @ query))
        assert store.search(query, 60)[0].id == expected[0].entry.id
        store.upsert(points(70)[50:])  # ten again, and ten more, with checksums of this version
        store.optimize()
        assert [state for _, state in store.verify()] == ["intact"] * 70


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(IndexingError, match="file"):
        EdgeStore.create(tmp_path / "file" / "edge", DENSE, LOCAL)


def test_full_disk_stops_before_the_engine_notices(tmp_path, monkeypatch):
    """The engine would die of a bus error; nothing is written when room is short."""
    with EdgeStore.create(tmp_path / "edge", DENSE, LOCAL) as store:
        store.upsert(points(5))
        with monkeypatch.context() as patch:
            patch.setattr(edge, "SPACE_KEPT", 2**62)
            with pytest.raises(IndexingError, match="disk is full"):
                store.upsert(points(9))
            store.optimize()
            assert store.count() == 5
        store.upsert(points(9))
        assert store.count() == 9


@pytest.mark.slow
def test_file_size_limit(tmp_path):
    """A write that the system refuses is an error; the points from before it stay."""
    code = f"""
        import resource, sys
        from pathlib import Path
        from hgan.errors import IndexingError
        from hgan.index.store.edge import EdgeStore
        from tests.fixtures.points import points
        with EdgeStore.create(Path(sys.argv[1]), {DENSE}, {LOCAL}) as store:
            store.upsert(points(5))
            store.flush()
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        try:
            with EdgeStore.load(Path(sys.argv[1]), {DENSE}, {LOCAL}) as store:
                for start in range(0, 4000, 100):
                    store.upsert(points(start + 100)[start:])
        except IndexingError as error:
            print(error)
    """
    done = run(code, tmp_path / "edge")
    assert done.returncode == 0, done.stderr
    assert "free some space and index again" in done.stdout
    with EdgeStore.load(tmp_path / "edge", DENSE, LOCAL) as store:
        assert store.count() >= 5
        store.upsert(points(200))
        assert store.count() >= 200
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY


def test_small_disk(small_disk: Path):
    """A disk that really is full: an error, no bus error, and the index opens again."""
    ballast = small_disk / "ballast"
    with EdgeStore.create(small_disk / "edge", DENSE, LOCAL) as store:
        store.upsert(points(50))
        free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
        with ballast.open("wb") as file:
            file.write(bytes(free - edge.SPACE_KEPT // 2))
        with pytest.raises(IndexingError, match="disk is full"):
            store.upsert(points(60))
        assert store.count() == 50
    ballast.unlink()
    with EdgeStore.load(small_disk / "edge", DENSE, LOCAL) as store:
        store.upsert(points(60))
        assert store.count() == 60


@pytest.fixture
def small_disk(tmp_path: Path):
    with mounted(tmp_path / "disk", edge.SPACE_KEPT + 2**28) as place:
        yield place


def test_the_time_of_the_last_change_is_not_that_of_opening(tmp_path):
    place, before = tmp_path / "edge", time.time()
    with EdgeStore.create(place, DENSE, LOCAL) as store:
        assert store.facts().changed is None
        store.upsert(points(3))
        assert store.facts().changed == pytest.approx(before, abs=60)
    os.utime(place / "changed", (1000, 1000))
    with EdgeStore.load(place, DENSE, LOCAL) as store:
        assert store.count() == 3
        assert store.facts().changed == 1000
        store.delete([points(1)[0].entry.id])
        assert store.facts().changed == pytest.approx(before, abs=60)


def test_the_beam_grows_with_the_index():
    assert [beam(n) for n in (0, 10_000, 100_000, 1_000_000, 10**9)] == [200, 200, 400, 800, BEAM]
    sizes = [beam(n) for n in range(0, 3_000_000, 10_000)]
    assert sizes == sorted(sizes)


@pytest.mark.slow
def test_small_indexes_have_a_graph_that_finds_what_an_exhaustive_search_finds(tmp_path) -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(40, 64))
    stored = [
        Point(
            Entry(f"{i}.jpg", 1, 1, str(i)),
            unit(centres[i % 40] + rng.normal(size=64)),
            unit(rng.normal(size=(1, LOCAL))),
        )
        for i in range(4000)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hgan.index.store.edge_schema.GRAPH_FROM", 200)
        store = EdgeStore.create(tmp_path / "index", 64, LOCAL, "int8")
    with store:
        store.upsert(stored)
        store.optimize()
        assert store._shard.info().indexed_vectors_count > 0
        shares = []
        for query in unit(centres + rng.normal(size=centres.shape)):
            ten = {match.id for match in store.search(query, 100, exact=True)[:10]}
            shares.append(len(ten & {match.id for match in store.search(query, 100)}) / 10)
    assert np.mean(shares) >= 0.98
