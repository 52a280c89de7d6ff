"""Draw text in pictures: choose fonts that have the letters, and fit lines into the space.

Pillow includes one font, with only Latin letters. For other scripts, fonts of the operating system
are used: for each text, as few fonts as possible. A letter that no installed font has is drawn as a
box.
"""

import os
import sys
import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Align = Literal["left", "center", "right"]

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_OWN = ""
"""Name of Pillow's own font; the name of any other font is its file name."""

_PREFERRED = (
    *("DejaVuSans.ttf", "NotoSans-Regular.ttf", "NotoSansCJK-Regular.ttc"),  # Linux
    *("Arial Unicode.ttf", "ヒラギノ角ゴシック W3.ttc", "PingFang.ttc"),  # macOS
    *("arial.ttf", "YuGothM.ttc", "msyh.ttc", "malgun.ttf", "Nirmala.ttc"),  # Windows
)
"""Plain sans-serif fonts that are tried first, by name."""
_OTHER_STYLES = ("bold", "italic", "oblique", "light", "thin", "black", "mono", "condensed")
_NO_LETTERS = ("lastresort", "adobeblank")
"""Fonts that claim to have every letter but draw none of them."""
_TEST_SIZE = 20
_COLOUR_SIZE = 109
"""The only size in pixels of Noto Color Emoji, which is a bitmap font."""


def draw_text(
    sheet: Image.Image,
    corner: tuple[int, int],
    text: str,
    size: int,
    ink: Colour,
    room: int | None = None,
    align: Align = "left",
) -> None:
    """Draw one line of text.

    Args:
        sheet: an RGB image, which is changed.
        corner: x of the left end, center or right end of the line (see `align`), and y of the
            baseline.
        text: any text; characters that cannot be drawn become spaces or `?`.
        size: size of the letters in pixels.
        ink: colour of the letters.
        room: maximum width of the line in pixels; the middle of a longer text is left out.
        align: which point of the line `corner` is.
    """
    line = fitted(text, size, room) if room is not None else one_line(text)
    left = corner[0]
    if align != "left":
        width = text_width(line, size)
        left -= round(width if align == "right" else width / 2)
    draw = ImageDraw.Draw(sheet)
    at = float(left)
    for run, name in _runs(line):
        if _is_colour(name):
            _draw_pictures(sheet, (round(at), corner[1]), run, name, size)
        else:
            draw.text((at, corner[1]), run, ink, _font(name, size), "ls")
        at += _run_width(run, name, size)


def text_width(text: str, size: int) -> float:
    """Width of a line in pixels."""
    return sum(_run_width(run, name, size) for run, name in _runs(one_line(text)))


def fitted(text: str, size: int, room: int) -> str:
    """The text on one line; if it is wider than `room`, an ellipsis replaces its middle."""
    text = one_line(text)
    fewest, most = 1, min(len(text), max(room, 1))  # a letter is wider than a pixel
    if len(text) <= most and text_width(text, size) <= room:
        return text
    while fewest < most:
        kept = (fewest + most + 1) // 2
        if text_width(_shortened(text, kept), size) <= room:
            fewest = kept
        else:
            most = kept - 1
    return _shortened(text, fewest)


def wrapped(text: str, size: int, room: int) -> list[str]:
    """The text in lines, broken between words; a word that is wider than `room` stays whole."""
    lines = [""]
    for word in one_line(text).split():
        longer = f"{lines[-1]} {word}".strip()
        if not lines[-1] or text_width(longer, size) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def one_line(text: str) -> str:
    """The text without line breaks, tabs, and surrogates, which no font can draw."""
    return " ".join(text.encode("utf-8", "replace").decode().split())


def missing_letters(text: str) -> str:
    """The letters that no installed font has; they are drawn as boxes."""
    letters = _letters(text)
    return "".join(sorted(letters - _fonts_of(letters).keys()))


def _shortened(text: str, kept: int) -> str:
    if kept >= len(text):
        return text
    return f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"


def _runs(line: str) -> Iterator[tuple[str, str]]:
    """Split a line into runs that are drawn with one font, each with the name of the font."""
    fonts = _fonts_of(_letters(line))
    name = next((fonts[letter] for letter in line if letter in fonts), _OWN)
    names = []
    for letter in line:
        # A space or an accent belongs to the letter before it; bitmap fonts have no spaces.
        if letter.isspace():
            name = _OWN if _is_colour(name) else name
        elif not unicodedata.category(letter).startswith("M"):
            name = fonts.get(letter, name)
        names.append(name)
    for font, run in groupby(zip(line, names, strict=True), key=lambda pair: pair[1]):
        yield "".join(letter for letter, _ in run), font


def _letters(text: str) -> frozenset[str]:
    """The characters of a text that a font must have: no spaces and no control characters."""
    return frozenset(
        letter
        for letter in text
        if not letter.isspace()
        and not "\ufe00" <= letter <= "\ufe0f"  # variation selectors
        and unicodedata.category(letter) not in ("Cc", "Cf", "Cs")
    )


@cache
def _fonts_of(letters: frozenset[str]) -> dict[str, str]:
    """A font for each letter that any font has: as few fonts as possible, plain ones first."""
    found: dict[str, str] = {}
    for fonts in (_preferred, _installed):
        while missing := letters - found.keys():
            covered = [(_covered(name, missing), name) for name in fonts()]
            best, name = max(covered, key=lambda pair: len(pair[0]), default=(frozenset(), _OWN))
            if not best:
                break
            found |= dict.fromkeys(best, name)
    return found


def _covered(name: str, letters: frozenset[str]) -> frozenset[str]:
    return frozenset(letter for letter in letters if _has(name, letter))


@cache
def _has(name: str, letter: str) -> bool:
    """Whether the font has a letter: draws it differently from an undefined character."""
    font = _font(name, _COLOUR_SIZE if _is_colour(name) else _TEST_SIZE)
    mask, nothing = font.getmask(letter), font.getmask("\uffff")
    return bytes(mask) != bytes(nothing) and mask.getbbox() is not None


@cache
def _font(name: str, size: int) -> _Font:
    return ImageFont.truetype(name, size) if name else ImageFont.load_default(size)


def _is_colour(name: str) -> bool:
    return "ColorEmoji" in name


def _run_width(run: str, name: str, size: int) -> float:
    if _is_colour(name):
        return _font(name, _COLOUR_SIZE).getlength(run) * size / _COLOUR_SIZE
    return _font(name, size).getlength(run)


def _draw_pictures(
    sheet: Image.Image, corner: tuple[int, int], run: str, name: str, size: int
) -> None:
    """Draw letters of a bitmap font, scaled to the size."""
    font = _font(name, _COLOUR_SIZE)
    width = max(round(font.getlength(run)), 1)
    height = 2 * _COLOUR_SIZE
    picture = Image.new("RGBA", (width, height))
    baseline = round(1.5 * _COLOUR_SIZE)
    ImageDraw.Draw(picture).text((0, baseline), run, font=font, anchor="ls", embedded_color=True)
    scale = size / _COLOUR_SIZE
    small = picture.resize((max(round(width * scale), 1), round(height * scale)))
    sheet.paste(small, (corner[0], corner[1] - round(baseline * scale)), small)


@cache
def _preferred() -> tuple[str, ...]:
    return (_OWN, *(name for name in _PREFERRED if _opens(name, _TEST_SIZE)))


@cache
def _installed() -> tuple[str, ...]:
    """The font files of this computer, plain ones only; searched once, and only when needed."""
    found = (
        str(file)
        for folder in _folders()
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in (".ttf", ".ttc", ".otf")
        and not any(word in file.stem.lower() for word in (*_OTHER_STYLES, *_NO_LETTERS))
    )
    return tuple(
        name for name in found if _opens(name, _COLOUR_SIZE if _is_colour(name) else _TEST_SIZE)
    )


def _opens(name: str, size: int) -> bool:
    try:
        _font(name, size)
    except OSError:
        return False
    return True


def _folders() -> list[Path]:
    """Folders where this operating system stores fonts."""
    home = Path.home()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA") or str(home / "AppData/Local")
        windows = os.environ.get("WINDIR") or "C:/Windows"
        return [Path(windows, "Fonts"), Path(local, "Microsoft/Windows/Fonts")]
    if sys.platform == "darwin":
        return [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts"]
    own = os.environ.get("XDG_DATA_HOME") or str(home / ".local/share")
    shared = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    return [Path(place, "fonts") for place in (own, *shared.split(":"))]
