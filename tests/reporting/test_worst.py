"""The page of worst queries: correct, escaped, self-contained, with photos and without."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hgan.data.captions.read import read_captions
from hgan.reporting.records import Record, find_records
from hgan.reporting.worst import WORST, write_worst
from tests.fixtures.records import write_captions, write_run


@pytest.fixture
def record(tmp_path: Path) -> Record:
    captions = write_captions(tmp_path / "data")
    write_run(tmp_path / "runs" / "a & b", captions, noise=1.0)
    return find_records([tmp_path / "runs"], "test")[0]["a & b"][0]


def page(record: Record, photos: Path | None, folder: Path) -> str:
    captions = read_captions(Path(record.figures["captions"])).split("test")
    write_worst(record, captions, photos, folder / "worst.html")
    return (folder / "worst.html").read_text(encoding="utf-8")


class Balance(HTMLParser):
    """Collects open tags, and complains of one that is closed out of turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_worst_queries_are_there_the_worst_first(record: Record, tmp_path: Path) -> None:
    html = page(record, None, tmp_path)
    of_images, of_texts = record.final_ranks
    shown = [int(n) for n in re.findall(r"its photo has rank (\d+)", html)]
    assert shown == list(np.sort(of_texts)[::-1][:WORST] + 1)
    shown = [int(n) for n in re.findall(r"its best caption has rank (\d+)", html)]
    assert shown == list(np.sort(of_images)[::-1][:WORST] + 1)


def test_texts_are_escaped_and_tags_are_closed(record: Record, tmp_path: Path) -> None:
    html = page(record, None, tmp_path)
    assert "a &lt;b&gt;dog&lt;/b&gt; &amp; a" in html and "<b>" not in html
    assert "Worst queries of a &amp; b, seed 1" in html
    balance = Balance()
    balance.feed(html)
    assert balance.open == []


def test_without_photos_names_stand_in_their_place(record: Record, tmp_path: Path) -> None:
    html = page(record, None, tmp_path)
    assert "Photos are not shown; set their folder with <code>--photos</code>" in html
    assert "<img" not in html and "test3.jpg" in html


def test_photos_are_inside_the_page(record: Record, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(1, 30):
        Image.new("RGB", (640, 480), (8 * i, 0, 0)).save(photos / f"test{i}.jpg")
    (photos / "test2.jpg").write_bytes(b"no photo")
    html = page(record, photos, tmp_path)
    found = re.findall(r'src="([^"]*)"', html)
    assert len(found) > WORST and all(s.startswith("data:image/jpeg;base64,") for s in found)
    sizes = {Image.open(io.BytesIO(base64.b64decode(s.split(",")[1]))).size for s in found}
    assert sizes == {(180, 135)}
    missing = len(re.findall(r"<figure><figcaption", html))
    assert missing > 0 and f"{missing} photos could not be shown" in html
    assert "http" not in html
