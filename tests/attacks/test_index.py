"""Damaged vectors and items of an index are found, and the message names what repairs them."""

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hgan.cli import main
from hgan.errors import IndexingError
from hgan.index.indexer import IndexReport, index_folder
from hgan.index.store.edge import EdgeStore
from hgan.index.store.open import create_store, open_store, read_manifest
from hgan.index.texts import index_texts
from hgan.index.verify import verify_index
from hgan.runtime.bundle import Bundle
from hgan.search.searcher import open_index
from tests.fixtures.points import points
from tests.fixtures.qdrant_proxy import new_server

RED = "red 0.png"
SERVER = "http://qdrant:6333/photos"
LARGE = 0x7B
"""High byte of a number in float16 between 57,344 and 65,504."""


def vectors_of(to: Path, path: str, level: str) -> bytes:
    """The first vector of a photo at a level, as the engine stores it."""
    with open_store(to, read_manifest(to)) as store:
        [key] = [entry.id for entry in store.entries() if path in (entry.path, entry.text)]
        [point] = store.fetch([key], local=True)
    return np.atleast_2d(getattr(point, level))[0].astype("<f2").tobytes()


def damage(to: Path, path: str, level: str, position: int, byte: int | None = None) -> None:
    """Change one byte of a stored vector; by default one bit of it."""
    wanted, found = vectors_of(to, path, level), 0
    for file in to.rglob("*.mmap"):
        content = file.read_bytes()
        start = content.find(wanted)
        if start >= 0:
            found += 1
            with file.open("rb+") as opened:
                opened.seek(start + position)
                opened.write(bytes([content[start + position] ^ 1 if byte is None else byte]))
    assert found == 1


def command_of(error: IndexingError) -> list[str]:
    """The words of the only command in a message, without `hgan`."""
    [command] = re.findall(r"`([^`]+)`", str(error))
    program, *words = shlex.split(command)
    assert program == "hgan"
    return words


def wrong_score(to: Path, item: str) -> None:
    damage(to, item, "dense", 1, LARGE)


def wrong_checksum(to: Path, item: str) -> None:
    damage(to, item, "dense", 0)


def items_lost(to: Path, _item: str) -> None:
    manifest = read_manifest(to)
    with EdgeStore.load(to / "edge", manifest.dense, manifest.local) as store:
        store.delete([entry.id for entry in store.entries()][:4])


def files_emptied(to: Path, _item: str) -> None:
    for path in to.rglob("segment.json"):
        path.write_bytes(b"")


def store_removed(to: Path, _item: str) -> None:
    shutil.rmtree(to / "edge")


@pytest.mark.parametrize("holds", ["photos", "texts"])
@pytest.mark.parametrize(
    "break_it", [wrong_score, wrong_checksum, items_lost, files_emptied, store_removed]
)
def test_the_message_names_the_one_command_that_repairs(
    photos: Path,
    tmp_path: Path,
    bundle: Bundle,
    break_it: Callable[[Path, str], None],
    holds: str,
) -> None:
    """The index has another bundle than the default one, and a name that a shell would split."""
    to = tmp_path / "my photos' index"
    texts = tmp_path / "texts.txt"
    texts.write_text("".join(f"a red photo {i}\n" for i in range(12)))
    index_texts(texts, to, bundle) if holds == "texts" else index_folder(photos, to, bundle)
    with open_index(to) as index:
        before = index.search("a red photo", 12)
    secret = (to / "secret").read_bytes()
    break_it(to, "a red photo 3" if holds == "texts" else RED)
    with pytest.raises(IndexingError) as caught, open_index(to) as index:
        index.search("a red photo", 12)
    assert "damaged" in str(caught.value)
    assert main(command_of(caught.value)) == 0
    with open_index(to) as index:
        assert index.search("a red photo", 12) == before
    assert verify_index(to).intact == 12
    assert (to / "secret").read_bytes() == secret


def test_a_score_that_cannot_be(photos: Path, to: Path, bundle: Bundle) -> None:
    damage(to, RED, "dense", 1, LARGE)
    with open_index(to, bundle) as index, pytest.raises(IndexingError) as caught:
        index.search("a red photo")
    assert str(to) in str(caught.value)
    assert "damaged" in str(caught.value)


def test_a_local_score_that_cannot_be(photos: Path, to: Path, bundle: Bundle) -> None:
    damage(to, RED, "local", 1, LARGE)
    with open_index(to, bundle) as index, pytest.raises(IndexingError, match="level local"):
        index.search("a red photo")


@pytest.mark.parametrize("level", ["dense", "local"])
@pytest.mark.parametrize("position", [0, 9])
def test_one_bit_is_found_and_repaired(
    photos: Path,
    to: Path,
    bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    level: str,
    position: int,
) -> None:
    with open_index(to, bundle) as index:
        before = index.search("a red photo", 12)
    damage(to, RED, level, position)
    command = ["index", str(photos), "--to", str(to), "--verify"]
    assert main(command) == 1
    output = capsys.readouterr()
    assert "11 intact, 1 damaged, 0 missing, 0 without checksums" in output.out
    assert f"damaged {RED}\n" in output.err
    encoded, encode = [], Bundle.encode_images

    def counted(self: Bundle, pixels: Any, *more: Any) -> Any:
        encoded.append(len(pixels))
        return encode(self, pixels, *more)

    with monkeypatch.context() as patch:
        patch.setattr(Bundle, "encode_images", counted)
        assert index_folder(photos, to, bundle) == IndexReport(updated=1, unchanged=11)
    assert encoded == [1]
    assert main(command) == 0
    with open_index(to, bundle) as index:
        assert index.search("a red photo", 12) == before


def test_a_damaged_hit_is_not_returned(photos: Path, to: Path, bundle: Bundle) -> None:
    """A bit that hardly changes the score, and would never be noticed."""
    damage(to, RED, "dense", 0)
    with open_index(to, bundle) as index, pytest.raises(IndexingError, match=RED):
        index.search("a red photo", 12)


def test_damaged_vectors_are_not_copied(photos: Path, to: Path, bundle: Bundle) -> None:
    damage(to, RED, "dense", 0)
    (photos / "copy.png").write_bytes((photos / RED).read_bytes())
    assert index_folder(photos, to, bundle).added == 1
    assert verify_index(to).damaged == [RED]


def test_damaged_texts(tmp_path: Path, bundle: Bundle) -> None:
    file, to = tmp_path / "texts.txt", tmp_path / "index"
    file.write_text("a red photo\ntwo blue dogs\ngreen snow\n")
    index_texts(file, to, bundle)
    damage(to, "two blue dogs", "local", 0)
    assert verify_index(to).damaged == ["two blue dogs"]
    assert index_texts(file, to, bundle) == IndexReport(updated=1, unchanged=2)
    assert verify_index(to).good


def test_damage_on_a_server(photos: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    from qdrant_client import models

    made = new_server()
    monkeypatch.setattr("hgan.index.store.server.connect", lambda _settings: made)
    index_folder(photos, SERVER, bundle)
    assert verify_index(SERVER).intact == 12
    [record] = made.scroll("photos", limit=1, with_payload=True, with_vectors=True)[0]
    assert isinstance(record.vector, dict)
    assert record.payload is not None
    dense = record.vector["dense"]
    assert isinstance(dense, list)
    wrong: Any = {"dense": [819.6, *dense[1:]]}
    made.update_vectors("photos", [models.PointVectors(id=record.id, vector=wrong)])
    with open_index(SERVER, bundle) as index, pytest.raises(IndexingError, match="damaged"):
        index.search("a red photo", 12)
    assert verify_index(SERVER).damaged == [record.payload["path"]]
    assert index_folder(photos, SERVER, bundle) == IndexReport(updated=1, unchanged=11)
    assert verify_index(SERVER).good


def test_items_that_are_lost(photos: Path, to: Path, bundle: Bundle) -> None:
    assert read_manifest(to).points == 12
    items_lost(to, "")
    with pytest.raises(IndexingError, match="8 items instead of 12"):
        open_index(to, bundle)
    assert verify_index(to).missing == 4
    assert index_folder(photos, to, bundle) == IndexReport(added=4, unchanged=8)
    with open_index(to, bundle) as index:
        assert len(index) == 12


def test_the_count_is_unknown_while_the_index_changes(tmp_path: Path) -> None:
    from tests.index.store.test_collection import MANIFEST

    to = tmp_path / "index"
    for expected in (5, 7):
        with create_store(to, MANIFEST) as store:
            store.upsert(points(expected))
            assert read_manifest(to).points is None
        assert read_manifest(to).points == expected
    with open_store(to, read_manifest(to)) as store:
        assert read_manifest(to).points == 7
        store.delete([points(1)[0].entry.id])
    assert read_manifest(to).points == 6
