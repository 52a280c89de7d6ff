"""The whole report on real ranks of small data: its files, its reference, what it omits."""

import base64
import io
import re
from html import unescape
from pathlib import Path

import pytest
from PIL import Image

from hgan.errors import ConfigError, DataError
from hgan.reporting.report import PAGE, PICTURES, write_report
from hgan.reporting.worst import WORST
from tests.fixtures.records import write_captions, write_run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two systems with two seeds, one with one seed and one level."""
    captions = write_captions(tmp_path / "data")
    for seed in (1, 2):
        write_run(tmp_path / "runs" / "full", captions, seed, 0.5)
        write_run(tmp_path / "runs" / "worse", captions, seed, 1.5)
    write_run(tmp_path / "runs" / "context", captions, 1, 1.0, levels=("context",))
    return tmp_path / "runs"


def page(out: Path) -> str:
    return (out / PAGE).read_text(encoding="utf-8")


def visible(html: str) -> str:
    """The text of a page, without what is inside tags."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def inside(html: str, kind: str) -> list[bytes]:
    """The files of a kind that are inside a page."""
    return [base64.b64decode(c) for c in re.findall(rf"data:{kind};base64,([\w+/=]*)", html)]


def test_the_page_has_everything_in_it(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    photos = tmp_path / "data" / "photos"
    photos.mkdir()
    for i in range(30):
        Image.new("RGB", (64, 48), (8 * i, 0, 0)).save(photos / f"test{i}.jpg")
    assert write_report([runs], out, "test") == []
    files = {"differences.md", "report.html", "table.csv", "table.md", "table.tex"}
    assert {path.name for path in out.iterdir()} == files | {f"{name}.png" for name in PICTURES}
    html = page(out)
    links = re.findall(r'(?:src|href)="(.*?)"', html)
    assert all(link.startswith(("data:", "#")) for link in links) and "<script" not in html
    anchors = set(re.findall(r'id="(.*?)"', html))
    assert {link[1:] for link in links if link.startswith("#")} <= anchors

    found = inside(html, "image/png")
    assert found == [(out / f"{name}.png").read_bytes() for name in PICTURES]
    for png in found:
        with Image.open(io.BytesIO(png)) as picture:
            small = picture.convert("L").resize((64, 64))
            assert picture.width > 700 and len(set(small.tobytes())) > 5  # not blank
    tables = [(out / f"table.{form}").read_bytes() for form in ("md", "tex", "csv")]
    assert inside(html, "text/plain") == tables
    assert 20 < len(inside(html, "image/jpeg")) <= 30  # each photo once

    text = visible(html)
    for line in (out / "table.md").read_text(encoding="utf-8").splitlines()[2:5]:
        assert " ".join(line.replace("|", " ").split()) in text
    for fact in (
        "Split: test, 30 photos, 73 captions",
        "Ties count against the model",
        "full: 1, 2; context: 1; worse: 1, 2",
        "highest rSum on validation",
    ):
        assert fact in text
    assert "Left out" not in text


def test_every_system_has_its_worst_queries(runs: Path, tmp_path: Path) -> None:
    write_report([runs], tmp_path / "report", "test")
    html = page(tmp_path / "report")
    names = re.findall(r"<summary>(.*?)</summary>", html)
    assert names == ["full, seed 1", "context, seed 1", "worse, seed 1"]
    parts = html.split("<summary>")[1:]
    assert all(part.count("its photo has rank") == WORST for part in parts)
    assert len({part.partition("</summary>")[2] for part in parts}) == 3
    assert re.search(r"\d+ photos could not be shown; set .* with --photos", visible(html))


@pytest.mark.slow
def test_differences_are_against_the_reference(runs: Path, tmp_path: Path) -> None:
    write_report([runs], tmp_path / "a", "test")
    lines = (tmp_path / "a" / "differences.md").read_text(encoding="utf-8").splitlines()
    assert lines[0].split(" | ")[1] == "rSum minus that of full"
    assert [line.split(" | ")[0] for line in lines[2:4]] == ["| context", "| worse"]
    assert all(" | -" in line for line in lines[2:4])
    write_report([runs], tmp_path / "b", "test", reference="worse")
    lines = (tmp_path / "b" / "differences.md").read_text(encoding="utf-8").splitlines()
    assert lines[2].startswith("| full | +")
    with pytest.raises(ConfigError, match="--reference none: choose one of full, context, worse"):
        write_report([runs], tmp_path / "c", "test", reference="none")


def test_the_reference_is_chosen_on_validation(tmp_path: Path) -> None:
    captions = write_captions(tmp_path / "data")
    write_run(tmp_path / "runs" / "test_best", captions, 1, 0.5, val_rsum=100.0)
    write_run(tmp_path / "runs" / "val_best", captions, 1, 0.8, val_rsum=200.0)
    write_report([tmp_path / "runs"], tmp_path / "report", "test")
    text = (tmp_path / "report" / "differences.md").read_text(encoding="utf-8")
    assert text.startswith("| system | rSum minus that of val_best |")


def test_everything_says_what_it_belongs_to_and_calls_an_ensemble_one(tmp_path: Path) -> None:
    captions = write_captions(tmp_path / "data")
    write_run(tmp_path / "runs" / "full", captions, 1, 0.5)
    write_run(tmp_path / "runs" / "full", captions, 2, 0.5)
    ensemble = {"ensemble": ["a/best", "b/best"], "seeds": [3, 4], "epochs": ["1 of 2", "2 of 2"]}
    write_run(tmp_path / "runs" / "pair", captions, 3, 1.5, **ensemble)
    out = tmp_path / "report"
    write_report([tmp_path / "runs"], out, "test")
    html = page(out)
    text = visible(html)
    assert "full 2 2 of 2 " in text
    assert "pair 3 + 4 1 of 2 + 2 of 2 " in text and "a/best + b/best" in text
    assert "| pair (ensemble) | -" in (out / "differences.md").read_text(encoding="utf-8")
    note = "data/captions.jsonl, test split, protocol full: 30 photos, 73 captions; ties count"
    for name in ("table.tex", "table.csv"):
        found = (out / name).read_text(encoding="utf-8")
        assert note in found and "over seeds 1, 2 or 3" in found
    assert note in text and "Checkpoint of epoch 2 of 2." in text


def test_one_system_alone(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "full", write_captions(tmp_path / "data"))
    assert write_report([tmp_path / "runs"], tmp_path / "report", "test") == []
    assert "full is the only system." in visible(page(tmp_path / "report"))
    assert "±" not in (tmp_path / "report" / "table.md").read_text(encoding="utf-8")


def test_without_captions_the_rest_is_there(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "captions.jsonl").unlink()
    (problem,) = write_report([runs], tmp_path / "report", "test")
    assert "which need captions" in problem and "captions.jsonl: no such file" in problem
    html = page(tmp_path / "report")
    assert problem in visible(html) and len(inside(html, "image/png")) == len(PICTURES) - 1
    assert not (tmp_path / "report" / "lengths.png").exists() and "<summary>" not in html


def test_what_is_left_out_is_listed(runs: Path, tmp_path: Path) -> None:
    (runs / "worse" / "seed2" / "test.npz").write_bytes(b"")
    (problem,) = write_report([runs], tmp_path / "report", "test")
    text = visible(page(tmp_path / "report"))
    assert "seed2" in problem and problem in text and "worse: 1)" in text


def test_published_figures_need_the_same_photos(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="are for 1,000 photos, but the records are for 30"):
        write_report([runs], tmp_path / "report", "test", published="flickr30k-1k")
    assert not (tmp_path / "report").exists()


def test_published_figures_stand_below_ours(tmp_path: Path) -> None:
    captions = write_captions(tmp_path / "data", photos=1000)
    write_run(tmp_path / "runs" / "full", captions, levels=("context",))
    write_report([tmp_path / "runs"], tmp_path / "report", "test", published="flickr30k-1k")
    table = (tmp_path / "report" / "table.md").read_text(encoding="utf-8")
    assert table.index("| full |") < table.index("| SCAN | E P |")
    assert "T: checkpoint chosen on the test split" in table
