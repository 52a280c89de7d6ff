"""An index on a server that is built anew: a new collection beside the old one, then the alias."""

import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from qdrant_client import QdrantClient, models
from starlette.testclient import TestClient

from hgan.errors import IndexingError
from hgan.index import rebuild_collection
from hgan.index import watcher as watch
from hgan.index.indexer import IndexReport, index_folder
from hgan.index.rebuild import rebuild_index
from hgan.index.store import claim
from hgan.index.store.collection import open_store, read_manifest, secret_of
from hgan.index.store.contract import Entry, ReplacedError
from hgan.index.store.qdrant import QdrantStore
from hgan.index.store.server import Server, ServerSettings
from hgan.runtime.bundle import Bundle
from hgan.search.searcher import open_index
from hgan.serve import renewal
from hgan.serve.app import create_app
from hgan.serve.settings import Settings
from tests.fixtures.photos import COLOURS, save_photo
from tests.fixtures.qdrant_process import running
from tests.fixtures.tiny_bundle import write_tiny_bundle
from tests.serve.conftest import HERE
from tests.serve.test_watching import wait_for

pytestmark = pytest.mark.slow

TAGS = {"red 0.png": ("sea",), "blue/blue 1.png": ("mine", "yours")}


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return Bundle.load(write_tiny_bundle(tmp_path_factory.mktemp("other"), seed=1))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild_collection, "GRACE", 0.0)
    monkeypatch.setattr(claim, "_SETTLE", 0.1)
    monkeypatch.setattr(claim, "BEAT", 0.5)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with running(tmp_path / "server") as address:
        yield address


@pytest.fixture
def place(url: str, photos: Path, bundle: Bundle) -> str:
    """An index with user tags."""
    index_folder(photos, f"{url}/photos", bundle)
    tag(f"{url}/photos", TAGS)
    return f"{url}/photos"


def tag(place: str, tags: dict[str, tuple[str, ...]]) -> None:
    with open_store(place, read_manifest(place)) as store:
        stored = {entry.path: entry.id for entry in store.entries()}
        for point in store.fetch([stored[path] for path in tags], local=True):
            entry = replace(point.entry, user_tags=tags[point.entry.path])
            store.upsert([replace(point, entry=entry)])


def tags_of(place: str) -> dict[str, tuple[str, ...]]:
    return {path: entry.user_tags for path, entry in entries(place).items() if entry.user_tags}


def entries(place: str) -> dict[str, Entry]:
    with open_store(place, read_manifest(place)) as store:
        return {entry.path: entry for entry in store.entries()}


def names(url: str) -> tuple[set[str], dict[str, str]]:
    """Collections and aliases, as other programs see them."""
    client = QdrantClient(url=url, check_compatibility=False)
    aliases = {one.alias_name: one.collection_name for one in client.get_aliases().aliases}
    found = {
        name
        for name in ("photos", *(f"photos.g{number}" for number in range(1, 6)))
        if name not in aliases and client.collection_exists(name)
    }
    client.close()
    return found, aliases


def test_collections_and_alias(url, place, photos, tmp_path, bundle, other):
    secret = secret_of(place)
    assert names(url) == ({"photos"}, {})
    assert rebuild_index(place, other).report == IndexReport(added=12)
    assert names(url) == ({"photos.g1"}, {"photos": "photos.g1"})
    index_folder(photos, tmp_path / "fresh", other)
    with open_index(place) as found, open_index(tmp_path / "fresh") as expected:
        assert found.bundle.id == other.id
        here, there = (index.search("a red photo", 12) for index in (expected, found))
        assert [hit.path for hit in there] == [hit.path for hit in here]
    assert tags_of(place) == TAGS
    assert secret_of(place) == secret
    rebuild_index(place, bundle, "int8")
    assert names(url) == ({"photos.g2"}, {"photos": "photos.g2"})
    found = read_manifest(place)
    assert (found.bundle, found.quantize, found.generation) == (bundle.id, "int8", 2)
    assert tags_of(place) == TAGS
    assert index_folder(photos, place) == IndexReport(unchanged=12)


def test_an_open_index_searches_its_own_generation(place, photos, bundle, other, monkeypatch):
    """Its queries are encoded by the old model."""
    monkeypatch.setattr(rebuild_collection, "sleep", lambda _seconds: searched.append(search()))
    monkeypatch.setattr("hgan.index.store.qdrant._CHECKED_FOR", 0.0)
    for wanted in (other, bundle):  # its collection becomes an alias; then it has another name
        searched: list[list[str]] = []
        manifest = read_manifest(place)
        with open_index(place) as opened, open_store(place, manifest) as store:
            points = store.fetch([entry.id for entry in store.entries()], local=True)

            def search(opened=opened, wanted=wanted) -> list[str]:
                assert read_manifest(place).bundle == wanted.id  # already
                return [hit.path.name for hit in opened.search("a red photo", 4)]

            before = [hit.path.name for hit in opened.search("a red photo", 4)]
            rebuild_index(place, wanted)
            assert searched == [before]
            ids = [point.entry.id for point in points]
            for use in (
                lambda opened=opened: opened.search("a red photo", 4),
                lambda store=store, points=points: store.upsert(points),
                lambda store=store, ids=ids: store.delete(ids),
                lambda store=store, ids=ids: store.mark_damaged(ids),
            ):
                with pytest.raises(ReplacedError):
                    use()
        with pytest.raises(ReplacedError), open_store(place, manifest):
            pass
    assert index_folder(photos, place) == IndexReport(unchanged=12)


def test_a_service_goes_over(url, place, photos, tmp_path, other, monkeypatch):
    monkeypatch.setattr(renewal, "POLL", 0.1)
    monkeypatch.setattr(rebuild_collection, "GRACE", 3.0)
    done = threading.Event()
    with TestClient(create_app(place, Settings()), base_url=HERE) as client:
        [hit] = client.post("/v1/search", json={"text": "red", "k": 1}).json()["hits"]
        rebuilding = threading.Thread(
            target=lambda: (rebuild_index(place, other), done.set()), daemon=True
        )
        rebuilding.start()
        models_seen = set()
        while not done.is_set():
            answer = client.post("/v1/search", json={"text": "a red photo", "k": 3})
            assert answer.status_code == 200, answer.text
            assert client.get(f"/v1/items/{hit['id']}").status_code == 200  # the same public id
            models_seen.add(client.get("/v1/status").json()["bundle"]["id"])
        rebuilding.join(60)
        assert client_model(client) == other.id
        assert len(models_seen) == 2
        assert client.post("/v1/search", json={"text": "red"}).status_code == 200


def client_model(client: TestClient) -> str:
    return client.get("/v1/status").json()["bundle"]["id"]


def test_tags_that_a_service_adds_before_it_has_noticed(url, place, photos, other, monkeypatch):
    """It has the old collection open for some seconds after the switch."""

    def late(_seconds: float) -> None:
        assert read_manifest(place).generation == 1
        old = Server(ServerSettings.parse(place))
        with QdrantStore(old, before.dense, before.local) as store:
            stored = {entry.path: entry.id for entry in store.entries()}
            [point] = store.fetch([stored["green/green 1.png"]], local=True)
            store.upsert([replace(point, entry=replace(point.entry, user_tags=("late",)))])
        save_photo(photos / "late.png", COLOURS["red"], seed=8)

    before = read_manifest(place)
    monkeypatch.setattr(rebuild_collection, "sleep", late)
    rebuild_index(place, other)
    assert tags_of(place) == {**TAGS, "green/green 1.png": ("late",)}
    assert "late.png" in entries(place)


def test_bad_input_changes_nothing(url, place, photos, bundle, other):
    client = QdrantClient(url=url, check_compatibility=False)
    params = models.VectorParams(size=3, distance=models.Distance.DOT)
    client.create_collection("photos.g1", vectors_config=params, metadata={"owner": "somebody"})
    with pytest.raises(IndexingError, match="not an index of hgan; choose another name"):
        rebuild_index(place, other)
    assert client.get_collection("photos.g1").config.metadata == {"owner": "somebody"}
    client.delete_collection("photos.g1")
    # Another index that happens to have this name is not of this one.
    index_folder(photos / "red", f"{url}/photos.g1", bundle)
    with pytest.raises(IndexingError, match="was interrupted"):
        rebuild_index(place, other)
    assert read_manifest(place).generation == 0
    assert len(entries(place)) == 12 and len(entries(f"{url}/photos.g1")) == 3
    client.close()


def test_vectors_of_another_width(url, place, bundle):
    client = QdrantClient(url=url, check_compatibility=False)
    metadata = client.get_collection("photos").config.metadata
    client.delete_collection("photos")
    params = models.VectorParams(size=3, distance=models.Distance.DOT)
    client.create_collection("photos", vectors_config={"dense": params}, metadata=metadata)
    client.close()
    for use in (read_manifest, open_index, rebuild_index):
        with pytest.raises(IndexingError, match="the widths of its vectors are"):
            use(place)


CODE = """
    import sys
    from pathlib import Path
    from hgan.errors import HganError
    from hgan.index import rebuild_collection
    from hgan.index.rebuild import rebuild_index
    from hgan.index.store import claim
    rebuild_collection.GRACE, claim._SETTLE, claim.BEAT = 0.0, 0.5, 0.5
    {before}
    try:
        rebuild_index(sys.argv[1], Path(sys.argv[2]))
    except HganError as error:
        sys.exit(str(error))
"""


def start(place: str, bundle: Bundle, before: str = "") -> "subprocess.Popen[str]":
    code = textwrap.dedent(CODE).format(before=before)
    command = [sys.executable, "-c", code, place, str(bundle.folder)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_two_rebuilds_at_once(url, place, other):
    both = [start(place, other) for _ in range(2)]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert all(text == "" or "another process is rebuilding" in text for text in said), said
    assert any(process.returncode == 0 for process in both)
    assert names(url)[1].keys() == {"photos"}
    assert read_manifest(place).bundle == other.id
    assert tags_of(place) == TAGS


def test_a_claim_is_kept_while_its_owner_runs_and_taken_over_when_it_has_ended(
    url, place, other, monkeypatch
):
    wait = "import time; f = rebuild_collection.Plan.fill; " \
        "rebuild_collection.Plan.fill = lambda *a: (f(*a), time.sleep(100))"  # fmt: skip
    first = start(place, other, wait)
    settings = ServerSettings.parse(f"{url}/photos")
    server = Server(settings)
    patience = time.monotonic() + 60
    while not (names(url)[0] > {"photos"} and claim._read(server, "photos.g1")):
        assert time.monotonic() < patience
        time.sleep(0.1)
    with pytest.raises(IndexingError, match="another process is rebuilding this index"):
        rebuild_index(place, other)
    first.send_signal(signal.SIGKILL)
    first.wait()
    # Of a process of another machine, only the missing renewals can be noticed.
    left = {**claim._read(server, "photos.g1"), "owner": "elsewhere-1"}
    client = QdrantClient(url=url, check_compatibility=False)
    client.update_collection("photos.g1", metadata={"hgan_rebuild": left})
    client.close()
    server.close()
    began = time.monotonic()
    report = rebuild_index(place, other).report
    assert time.monotonic() - began > 3 * claim.BEAT
    assert report.added + report.unchanged == 12
    assert read_manifest(place).bundle == other.id


KILL = """
import os, signal
from qdrant_client import QdrantClient
done = 0
def counted(function):
    def call(*given, **named):
        global done
        done += 1
        if done == {moment}:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = function(*given, **named)
        return answer
    return call
for name in ("upsert", "update_collection", "update_collection_aliases", "create_collection",
             "delete_collection"):
    setattr(QdrantClient, name, counted(getattr(QdrantClient, name)))
if {moment} == 0:
    import atexit
    atexit.register(lambda: print(done, file=sys.stderr))
"""


def test_kills_at_any_change_of_the_server(photos, tmp_path, bundle, other):
    """From the old index, which has no alias yet, and then from one with an alias."""
    for i in range(20):
        save_photo(photos / f"more {i}.png", COLOURS["green"], seed=i)

    def changes(place: str, wanted: Bundle) -> int:
        process = start(place, wanted, KILL.format(moment=0))
        return int(process.communicate(timeout=120)[1])

    with running(tmp_path / "trial") as url:
        index_folder(photos, f"{url}/photos", bundle)
        tag(f"{url}/photos", TAGS)
        total = [changes(f"{url}/photos", wanted) for wanted in (other, bundle)]
    least = 8
    assert min(total) >= least
    with running(tmp_path / "server") as url:
        for alias, most in enumerate(total):
            for moment in range(1, most + 1):
                place = f"{url}/{'plain' if not alias else 'moved'}{moment}"
                index_folder(photos, place, bundle)
                if alias:
                    rebuild_index(place, bundle)
                tag(place, TAGS)
                kill = KILL.format(moment=moment)
                process = start(place, other, kill)
                said = process.communicate(timeout=120)[1]
                # A slow trial renews its claim more often than a fast run, which ends before.
                has_ended = process.returncode == 0 and moment > least
                assert has_ended or process.returncode == -signal.SIGKILL, (moment, said)
                used = read_manifest(place).bundle
                assert used == other.id or (used == bundle.id and not has_ended)
                with open_index(place) as index:
                    assert len(index.search("green", 40)) == 32, moment
                assert tags_of(place) == TAGS
                rebuild_index(place, other)
                assert read_manifest(place).bundle == other.id
                assert tags_of(place) == TAGS
                assert len(entries(place)) == 32


def test_a_key_for_this_collection_alone(monkeypatch, place):
    """A server denies such a key the list of aliases, and other collections."""
    from httpx import Headers
    from qdrant_client.http.exceptions import UnexpectedResponse

    def denied(*_: object, **__: object) -> None:
        raise UnexpectedResponse(403, "Forbidden", b"{}", Headers())

    monkeypatch.setattr(QdrantClient, "get_aliases", denied)
    exists = QdrantClient.collection_exists
    monkeypatch.setattr(
        QdrantClient,
        "collection_exists",
        lambda client, name: exists(client, name) if name == "photos" else denied(),
    )
    with open_index(place) as index:
        assert len(index) == 12


def test_a_watcher_goes_over(place, photos, bundle, other, monkeypatch):
    monkeypatch.setattr(watch, "SETTLE", 0.2)
    stop, told = threading.Event(), []
    watching = threading.Thread(
        target=watch.watch_folder,
        args=(photos, place),
        kwargs={"on_event": told.append, "stop": stop},
    )
    watching.start()
    try:
        wait_for(lambda: bool(told))
        rebuild_index(place, other)
        save_photo(photos / "later.png", COLOURS["red"], seed=3)
        wait_for(lambda: "later.png" in entries(place))
    finally:
        stop.set()
        watching.join(60)
    assert read_manifest(place).bundle == other.id
    assert all(event.report is not None for event in told)
    index_folder(photos, place, other)
    with open_store(place, read_manifest(place)) as store:
        assert store.count() == 13
