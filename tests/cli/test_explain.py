"""`hgan explain`: its output, its files and its errors."""

import io
import json
import math
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from hgan.cli import main
from hgan.cli.explain import levels_table, patches_table, region_name, words_table
from hgan.runtime.bundle import Bundle
from tests.fixtures.tiny_bundle import CONTEXT_ONLY, edit_config, write_tiny_bundle


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Red on the left, blue on the right."""
    picture = Image.new("RGB", (40, 40), (250, 0, 0))
    picture.paste((0, 0, 250), (20, 0, 40, 40))
    picture.save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_tiny_bundle(tmp_path / "bundle")


def test_lines_for_other_programs(photo, bundle, capsys):
    assert main(["explain", str(photo), "a red", "dog", "--bundle", str(bundle)]) == 0
    shown = capsys.readouterr()
    rows = [line.split("\t") for line in shown.out.splitlines()]
    levels = {row[1]: [float(number) for number in row[2:]] for row in rows if row[0] == "level"}
    assert list(levels) == ["context", "shared", "local"]
    [score] = [float(row[1]) for row in rows if row[0] == "similarity"]
    assert score == pytest.approx(sum(part for *_, part in levels.values()), abs=2e-4)
    words = [row[1:] for row in rows if row[0] == "word"]
    assert [row[0] for row in words] == ["a", "red", "dog"]
    assert words[1][3].startswith("0-50% ")  # the left half
    assert shown.err == ""


def test_json(photo, bundle, capsys):
    assert main(["explain", str(photo), "a red dog", "--bundle", str(bundle), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data == Bundle.load(bundle).explain(photo, "a red dog").as_dict()


def test_a_picture_as_well(photo, bundle, tmp_path, capsys):
    out = tmp_path / "why.png"
    words = ["explain", str(photo), "red", "--bundle", str(bundle), "--out", str(out), "--json"]
    assert main(words) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["text"] == "red"
    assert str(out) in shown.err
    with Image.open(out) as picture:
        assert picture.size[0] > 1000


@pytest.mark.parametrize("level", ["context", "shared", "local"])
def test_a_model_of_one_level(photo, tmp_path, capsys, level):
    weights = {name: float(name == level) for name in ("context", "shared", "local")}
    bundle = write_tiny_bundle(tmp_path / "one", weights=weights)
    assert main(["explain", str(photo), "red", "--bundle", str(bundle)]) == 0
    kinds = [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()]
    assert kinds == ["level", "similarity", *(["word"] if level == "local" else [])]


def test_tables_for_a_screen(photo, bundle):
    explanation = Bundle.load(bundle).explain(photo, "a [bold] red dog")
    screen = io.StringIO()
    console = Console(file=screen, width=100)
    console.print(levels_table(explanation), words_table(explanation), sep="\n")
    text = screen.getvalue()
    for expected in ("[bold]", "context", "0.500", "share", f"{explanation.score:.3f}", "0-50%"):
        assert expected in text


def test_where_a_region_lies():
    assert region_name([1 / 6, 0.5, 1 / 3, 2 / 3]) == "17-33% 50-67%"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("gone.png", "red", "no such file"),
        ("text.png", "red", "not a photo"),
        ("photo.png", " ", "no words"),
        ("photo.png", "", "no words"),
    ],
)
def test_errors_of_the_user(photo, bundle, tmp_path, capsys, name, text, message):
    (tmp_path / "text.png").write_text("not a photo")
    out = tmp_path / "why.png"
    words = ["explain", str(tmp_path / name), text, "--bundle", str(bundle), "--out", str(out)]
    assert main(words) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("hgan: ") and message in shown.err
    assert shown.out == ""
    assert not out.exists()


def test_no_bundle(photo, tmp_path, capsys):
    assert main(["explain", str(photo), "red", "--bundle", str(tmp_path / "none")]) == 2
    assert "none: no such folder" in capsys.readouterr().err


def test_a_dual_encoder_has_no_words(photo, tmp_path, capsys):
    bundle = write_tiny_bundle(tmp_path / "one", weights=CONTEXT_ONLY)
    edit_config(bundle, logits={"scale": 10.0, "bias": -4.0})
    out = tmp_path / "why.png"
    assert main(["explain", str(photo), "red", "--model", str(bundle), "--out", str(out)]) == 0
    shown = capsys.readouterr()
    rows = dict(line.split("\t", 1) for line in shown.out.splitlines())
    expected = 1 / (1 + math.exp(-(10 * float(rows["similarity"]) - 4)))
    assert float(rows["probability"]) == pytest.approx(expected, abs=1e-3)
    assert "the whole photo with the whole sentence" in shown.err
    with Image.open(out) as picture:
        assert picture.height < 500  # the photo and its one level, without panels
    screen = io.StringIO()
    explanation = Bundle.load(bundle).explain(photo, "red")
    Console(file=screen, width=100).print(levels_table(explanation))
    assert f"probability of a match {explanation.probability:.1%}" in screen.getvalue()


def test_a_dual_encoder_says_where_and_how_it_knows(photo, tmp_path, capsys):
    bundle = write_tiny_bundle(tmp_path / "one", weights=CONTEXT_ONLY, patches=True)
    out = tmp_path / "why.png"
    assert main(["explain", str(photo), "blue", "--model", str(bundle), "--out", str(out)]) == 0
    shown = capsys.readouterr()
    [where] = [line.split("\t") for line in shown.out.splitlines() if line.startswith("where")]
    explanation = Bundle.load(bundle).explain(photo, "blue")
    assert float(where[1]) == pytest.approx(explanation.patches.best, abs=1e-4)
    assert where[2].split("-")[0] in ("50", "75")  # the right half
    source = "where: from the patch tokens of Tiny, without the last attention; approximate"
    assert source in shown.err and "the whole photo" not in shown.err
    with Image.open(out) as picture:
        assert picture.height > 800
    screen = io.StringIO()
    Console(file=screen, width=100).print(patches_table(explanation, explanation.patches))
    assert where[2] in screen.getvalue() and f"{explanation.patches.best:.3f}" in screen.getvalue()
    assert main(["explain", str(photo), "blue", "--model", str(bundle), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["patches"]
    assert found == explanation.as_dict()["patches"] and len(found["similarity"]) == 16
