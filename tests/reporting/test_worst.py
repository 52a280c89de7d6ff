"""The worst queries: correct, escaped, with photos and without."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hgan.data.captions.read import read_captions
from hgan.reporting.album import Album
from hgan.reporting.records import Record, find_records
from hgan.reporting.worst import WORST, worst_queries
from tests.fixtures.records import write_captions, write_run


@pytest.fixture
def record(tmp_path: Path) -> Record:
    captions = write_captions(tmp_path / "data")
    write_run(tmp_path / "runs" / "a & b", captions, noise=1.0)
    return find_records([tmp_path / "runs"], "test")[0]["a & b"][0]


def shown(record: Record, photos: Path | None) -> tuple[str, Album]:
    captions = read_captions(Path(record.figures["captions"])).split("test")
    album = Album(captions.images, photos)
    return worst_queries(record, captions, album), album


class Balance(HTMLParser):
    """Collects open tags, and complains of one that is closed out of turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_worst_queries_are_there_the_worst_first(record: Record) -> None:
    html, _ = shown(record, None)
    of_images, of_texts = record.final_ranks
    found = [int(n) for n in re.findall(r"its photo has rank (\d+)", html)]
    assert found == list(np.sort(of_texts)[::-1][:WORST] + 1)
    found = [int(n) for n in re.findall(r"its best caption has rank (\d+)", html)]
    assert found == list(np.sort(of_images)[::-1][:WORST] + 1)


def test_texts_are_escaped_and_tags_are_closed(record: Record) -> None:
    html, album = shown(record, None)
    assert "a &lt;b&gt;dog&lt;/b&gt; &amp; a" in html and "<b>" not in html
    assert "<summary>a &amp; b, seed 1</summary>" in html
    balance = Balance()
    balance.feed(html + album.photos())
    assert balance.open == []


def test_without_photos_names_stand_in_their_place(record: Record) -> None:
    html, album = shown(record, None)
    assert "<use" not in html and "test3.jpg" in html
    assert "<image" not in album.photos() and "test3.jpg" in album.missing


def test_each_photo_is_inside_once(record: Record, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(1, 30):
        Image.new("RGB", (640, 480), (8 * i, 0, 0)).save(photos / f"test{i}.jpg")
    (photos / "test2.jpg").write_bytes(b"no photo")
    html, album = shown(record, photos)
    assert album.missing == {"test0.jpg", "test2.jpg"}
    used = re.findall(r'aria-label="(.*?)" viewBox="0 0 180 135"><use href="#photo(\d+)"/>', html)
    assert len(used) > WORST and all(name == f"test{number}.jpg" for name, number in used)
    stored = r'id="photo(\d+)" width="180" height="135" href="(.*?)"'
    found = dict(re.findall(stored, album.photos()))
    assert set(found) == {number for _, number in used}
    for number, source in found.items():
        head, content = source.split(",")
        assert head == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(base64.b64decode(content))) as photo:
            assert photo.size == (180, 135)
            assert abs(photo.getpixel((90, 60))[0] - 8 * int(number)) < 4
