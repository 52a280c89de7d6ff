"""Text in pictures: fonts for scripts that Pillow's own font does not have, and fitting lines."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hgan.render import text as module
from hgan.render.contact_sheet import contact_sheet
from hgan.render.heatmap import heatmap_sheet
from hgan.render.text import draw_text, fitted, missing_letters, one_line, text_width, wrapped
from hgan.runtime.explain import Explanation

INK = (0, 0, 0)
SCRIPTS = {
    "Cyrillic": "дж",
    "Greek": "σλ",
    "Hebrew": "בל",
    "Arabic": "بج",
    "Japanese": "犬魚",
    "Korean": "개눈",
    "Devanagari": "कब",
    "emoji": "😀😢",
    "animals": "🐕🐈",
}
"""Two letters of each."""


def drawn(text: str, **more: object) -> np.ndarray:
    sheet = Image.new("RGB", (400, 60), (255, 255, 255))
    draw_text(sheet, (10, 40), text, 24, INK, **more)
    return np.asarray(sheet)


def title_of_a_contact_sheet(text: str, folder: Path) -> np.ndarray:
    contact_sheet([], folder / "sheet.png", text)
    with Image.open(folder / "sheet.png") as sheet:
        return np.asarray(sheet.convert("RGB"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_titles_in_any_script_are_letters_and_no_boxes(script, bundle, tmp_path):
    if missing_letters(SCRIPTS[script]):
        pytest.skip(f"no font on this computer has {script} letters")
    one, other = SCRIPTS[script]  # as boxes, both would look the same
    sheets = [title_of_a_contact_sheet(text, tmp_path) for text in (one, other)]
    assert (sheets[0] != sheets[1]).any()
    gray = Image.new("RGB", (90, 60), (128, 128, 128))
    known = bundle.explain(gray, "red")
    pictures = []
    for text in (one, other):
        explanation = Explanation(text, known.levels, known.slots, known.words, known.boxes)
        heatmap_sheet(gray, explanation, tmp_path / "why.png")
        with Image.open(tmp_path / "why.png") as picture:
            pictures.append(np.asarray(picture.convert("RGB")))
    assert (pictures[0] != pictures[1]).any()


@pytest.fixture
def font_with_a_rare_letter(tmp_path, monkeypatch):
    """A font of the user's own with one letter that no other font has: U+F8F0, a triangle."""
    if sys.platform in ("win32", "darwin"):
        pytest.skip("fonts of the user are in a folder that no variable names")
    font_builder = pytest.importorskip("fontTools.fontBuilder")
    pen = pytest.importorskip("fontTools.pens.ttGlyphPen").TTGlyphPen(None)
    nothing = pen.glyph()
    pen.moveTo((0, 0))
    pen.lineTo((500, 900))
    pen.lineTo((1000, 0))
    pen.closePath()
    font = font_builder.FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder([".notdef", "triangle"])
    font.setupCharacterMap({0xF8F0: "triangle"})
    font.setupGlyf({".notdef": nothing, "triangle": pen.glyph()})
    font.setupHorizontalMetrics({".notdef": (1000, 0), "triangle": (1000, 0)})
    font.setupHorizontalHeader(ascent=900, descent=0)
    font.setupNameTable({"familyName": "Rare", "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    before = missing_letters("\uf8f0")
    (tmp_path / "fonts").mkdir()
    font.save(tmp_path / "fonts" / "Rare-Regular.ttf")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    caches = (module._installed, module._fonts_of, module._font, module._has)
    for cached in caches:
        cached.cache_clear()
    yield before
    for cached in caches:
        cached.cache_clear()


def test_a_font_of_this_computer_is_found_by_its_letters(font_with_a_rare_letter):
    if not font_with_a_rare_letter:
        pytest.skip("a font on this computer has U+F8F0")
    assert missing_letters("a dog \uf8f0") == ""
    black = drawn("\uf8f0").min(axis=-1) < 128
    rows = black.sum(axis=1)
    assert rows.sum() == pytest.approx(24 * 0.9 * 24 / 2, rel=0.1)  # half of its rectangle
    assert rows[38] > 2 * rows[25] > 0  # as a triangle is, and no box
    # Latin letters look the same with and without it.
    width = round(text_width("a dog", 24))
    both, alone = drawn("a dog \uf8f0"), drawn("a dog")
    assert (both[:, : 10 + width] == alone[:, : 10 + width]).all()
    assert (both != alone).any()


def test_what_no_font_has_is_a_box_and_is_named():
    assert missing_letters("a dog") == ""
    assert missing_letters("a \U000effff dog") == "\U000effff"
    assert (drawn("\U000effff") < 128).any()


def test_letters_are_drawn_where_they_should_be():
    left, right, centre = (
        np.flatnonzero((drawn("dog", align=align) < 128).any(axis=(0, 2)))
        for align in ("left", "right", "center")
    )
    assert left.min() in range(9, 14)
    assert right.size == 0 or right.max() < 10  # the line ends at its corner
    assert centre.max() - 10 <= left.max() - left.min()
    rows = np.flatnonzero((drawn("dot") < 128).any(axis=(1, 2)))
    assert rows.max() in range(38, 41)  # on the baseline


@pytest.mark.parametrize(
    "text", ["long " * 200, "x" * 5000, "собака " * 90, "雪の中の犬" * 50, "a"]
)
@pytest.mark.parametrize("room", [1, 60, 300])
def test_a_long_line_loses_its_middle(text, room):
    line = fitted(text, 20, room)
    assert len(line) <= len(text)
    whole = one_line(text)
    if line != whole:
        start, end = line.split("…")
        assert whole.startswith(start) and whole.endswith(end)
        if len(line) > 2:
            assert text_width(line, 20) <= room
            longer = f"{whole[: len(start) + 1]}…{end}"
            assert text_width(longer, 20) > room - 20  # no more would have fitted


def test_lines_are_broken_between_words():
    lines = wrapped("a dog runs\nthrough the grass " * 3, 20, 150)
    assert " ".join(lines).split() == ["a", "dog", "runs", "through", "the", "grass"] * 3
    assert all(text_width(line, 20) <= 150 for line in lines)
    assert wrapped("x" * 300, 20, 50) == ["x" * 300]
    assert wrapped("", 20, 50) == [""]


def test_what_is_no_letter_at_all():
    assert one_line("two\nlines\ttab \ud800") == "two lines tab ?"
    for text in ("", " ", "\ud800", "\x00\x07", "\u200d\ufe0f", "e\u0301"):
        assert drawn(text).shape == (60, 400, 3)
