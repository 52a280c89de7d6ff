"""A worker of a cluster, called as Ray calls it."""

import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from hgan.errors import BundleError, IndexingError, SourceError
from hgan.index.distributed.attempts import MOST, REASON, Attempts
from hgan.index.distributed.cluster import cause, check_machine
from hgan.index.distributed.job import Job
from hgan.index.distributed.run import BATCH, LEAST, batch_size
from hgan.index.distributed.worker import UPSERT, Worker
from hgan.index.indexer import IndexReport, index_folder
from hgan.index.store.manifest import IndexManifest
from hgan.index.store.open import create_store, open_store
from hgan.index.store.qdrant import QdrantStore
from hgan.runtime.bundle import Bundle
from hgan.runtime.device import VARIABLE
from hgan.runtime.session import THREADS
from hgan.sources.folder import FolderSource
from hgan.sources.types import Photo, PhotoContent
from tests.fixtures.photos import save_photo
from tests.fixtures.qdrant_proxy import new_server
from tests.fixtures.xmp import LIGHTROOM

PLACE = "http://qdrant:6333/photos"


@pytest.fixture(autouse=True)
def _server(monkeypatch: pytest.MonkeyPatch) -> None:
    made = new_server()
    monkeypatch.setattr("hgan.index.store.server.connect", lambda _settings: made)
    monkeypatch.setenv(THREADS, "")  # a worker sets them for its process
    monkeypatch.setenv(VARIABLE, "cpu")


def make_job(photos: Path, bundle: Bundle) -> Job:
    manifest = IndexManifest.of(photos, bundle)
    with create_store(PLACE, manifest):
        return Job(PLACE, manifest, bundle.folder, "cpu", {})


def batch(photos: Path) -> dict[str, object]:
    return {"photos": pickle.dumps(FolderSource(photos).find().photos)}


def test_a_batch_is_stored_and_failures_are_listed(photos: Path, bundle: Bundle) -> None:
    (photos / "red/broken.jpg").write_bytes(b"no photo")
    Image.new("RGB", (20, 20)).save(photos / "small.png")
    job = make_job(photos, bundle)
    row = Worker(job, Attempts())(batch(photos))
    report: IndexReport = pickle.loads(row["report"])
    assert row["done"] == 14
    assert list(report.skipped) == ["red/broken.jpg"]
    assert report.left_out.small == {"small.png"}
    assert index_folder(photos, PLACE, bundle).unchanged == 12


def test_a_batch_that_is_repeated_is_not_encoded_again(
    photos: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after the loss of a worker that had stored a part of its batch."""
    job = make_job(photos, bundle)
    encoded = []
    encode = Bundle.encode_images

    def counted(self: Bundle, pixels: list, size: int = 8) -> object:
        encoded.append(len(pixels))
        return encode(self, pixels, size)

    monkeypatch.setattr(Bundle, "encode_images", counted)
    listed = FolderSource(photos).find().photos
    Worker(job, Attempts())({"photos": pickle.dumps(listed[:5])})
    assert sum(encoded) == 5
    Worker(job, Attempts())(batch(photos))
    assert sum(encoded) == 12
    assert index_folder(photos, PLACE, bundle) == IndexReport(unchanged=12)


def test_tags_of_a_renamed_photo_come_with_the_job(photos: Path, bundle: Bundle) -> None:
    listed = FolderSource(photos).find().photos
    digest = FolderSource(photos).read(listed[3]).digest
    job = replace(make_job(photos, bundle), moved={digest: ("beach",)})
    Worker(job, Attempts())(batch(photos))
    with open_store(PLACE, job.manifest) as store:
        tagged = {entry.path: entry.user_tags for entry in store.entries() if entry.user_tags}
    assert tagged == {listed[3].path: ("beach",)}


def test_requests_are_of_the_size_that_servers_like(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(UPSERT + 20):
        save_photo(tmp_path / f"{i}.png", (i, 0, 0), seed=i)
    job, sizes = make_job(tmp_path, bundle), []
    upsert = QdrantStore.upsert
    monkeypatch.setattr(
        QdrantStore, "upsert", lambda self, some: (sizes.append(len(some)), upsert(self, some))
    )
    Worker(job, Attempts())(batch(tmp_path))
    assert sorted(sizes) == [20, UPSERT]


def test_errors_can_be_sent_to_the_driver(
    photos: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, row = Worker(make_job(photos, bundle), Attempts()), batch(photos)

    def fail(*_: object) -> None:
        raise SourceError("the bucket is gone")

    monkeypatch.setattr(FolderSource, "read", fail)
    with pytest.raises(SourceError, match="the bucket is gone") as caught:
        worker(row)
    assert str(pickle.loads(pickle.dumps(caught.value))) == "the bucket is gone"
    wrapped = RuntimeError("ray")
    wrapped.__cause__ = caught.value
    assert cause(wrapped) is caught.value
    assert cause(RuntimeError("ray")).args == ("ray",)


class KilledError(BaseException):
    """The end of a process; what it was doing is not cleaned up."""


def test_a_photo_that_ends_its_worker_is_skipped(
    photos: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempts are what remains of a worker; each one here opens the model anew."""
    job, attempts = make_job(photos, bundle), Attempts()
    read, ended = FolderSource.read, []

    def fatal(self: FolderSource, photo: Photo) -> PhotoContent:
        if photo.path == "red/red 1.png":
            ended.append(photo.path)
            raise KilledError
        return read(self, photo)

    monkeypatch.setattr(FolderSource, "read", fatal)
    for _ in range(1 + MOST):
        with pytest.raises(KilledError):
            Worker(job, attempts)(batch(photos))
    row = Worker(job, attempts)(batch(photos))
    assert len(ended) == 1 + MOST
    assert row["done"] == 12
    assert pickle.loads(row["report"]).skipped == {"red/red 1.png": REASON}
    monkeypatch.setattr(FolderSource, "read", read)
    assert index_folder(photos, PLACE, bundle) == IndexReport(added=1, unchanged=11)


def test_machines_that_cannot_work_say_why(photos: Path, bundle: Bundle, tmp_path: Path) -> None:
    job = make_job(photos, bundle)
    assert check_machine(job) == ""
    assert "install the same version" in check_machine(replace(job, version="0.0"))
    absent = replace(job, bundle=tmp_path / "absent")
    assert "no model bundle here" in check_machine(absent)
    assert "copy or mount it there" in check_machine(absent)
    other = replace(job, manifest=replace(job.manifest, bundle="another"))
    assert "copy that one here" in check_machine(other)
    elsewhere = replace(job, manifest=replace(job.manifest, root=str(tmp_path / "nowhere")))
    assert "mount them there" in check_machine(elsewhere)
    assert "photos2" in check_machine(replace(job, to=f"{PLACE}2"))
    with pytest.raises(BundleError):
        absent.load_bundle()
    with pytest.raises(IndexingError):
        other.load_bundle()


def test_a_worker_takes_its_cores_only(photos: Path, bundle: Bundle) -> None:
    job = replace(make_job(photos, bundle), cores=3)
    worker = Worker(job, Attempts())
    assert os.environ[THREADS] == "3"
    assert worker._source.threads == 3


@pytest.mark.parametrize(
    ("photos", "workers", "expected"),
    [(1, 4, LEAST), (400, 2, 25), (401, 2, 26), (10**7, 64, BATCH)],
)
def test_batches(photos: int, workers: int, expected: int) -> None:
    assert batch_size(photos, workers) == expected


def test_sidecars_reach_a_worker_and_their_problems_the_index(photos: Path, bundle: Bundle) -> None:
    (photos / "red 0.xmp").write_bytes(LIGHTROOM)
    (photos / "blue 0.xmp").write_bytes(b"<x")
    Worker(make_job(photos, bundle), Attempts())(batch(photos))
    with open_store(PLACE, IndexManifest.of(photos, bundle)) as store:
        assert {e.path: e.rating for e in store.entries()}["red 0.png"] == 4
    report = index_folder(photos, PLACE, bundle)
    assert (report.unchanged, report.sidecars, list(report.skipped)) == (12, 1, ["blue 0.xmp"])
