"""A contact sheet: the hits of a search as one picture, best first, each with rank and score."""

import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from hgan.errors import DataError, HganError, SourceError
from hgan.files import atomic_write
from hgan.runtime.images import open_photo
from hgan.search.finder import Hit
from hgan.sources.open import content_of

COLUMNS = 5

# Sizes in pixels.
_CELL = 240
_CAPTION = 46
_GAP = 20
_TITLE = 64

_PAPER = (250, 250, 248)
_FRAME = (238, 238, 235)
_INK = (28, 28, 30)
_FAINT = (128, 128, 132)
_ACCENT = (0, 102, 204)

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def contact_sheet(hits: Sequence[Hit], path: Path, title: str = "") -> None:
    """Write a PNG with the hits in rows of five under a title, such as the query.

    A photo that has gone since it was indexed leaves its place empty.

    Raises:
        HganError: the file cannot be written.
    """
    columns = min(COLUMNS, max(len(hits), 3))  # three leave room for a title
    rows = math.ceil(len(hits) / COLUMNS)
    top = _TITLE if title else _GAP
    sheet = Image.new(
        "RGB",
        (_GAP + columns * (_CELL + _GAP), top + rows * (_CELL + _CAPTION + _GAP)),
        _PAPER,
    )
    draw = ImageDraw.Draw(sheet)
    if title:
        font = _font(26)
        draw.text((_GAP, 20), _fitted(draw, title, font, sheet.width - 2 * _GAP), _INK, font)
    for place, hit in enumerate(hits):
        row, column = divmod(place, COLUMNS)
        left = _GAP + column * (_CELL + _GAP)
        _draw_hit(sheet, draw, (left, top + row * (_CELL + _CAPTION + _GAP)), place + 1, hit)
    try:
        with atomic_write(path) as file:
            sheet.save(file, "PNG", optimize=True)
    except OSError as error:
        raise HganError(f"{path}: the contact sheet cannot be written ({error})") from error


def _draw_hit(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, corner: tuple[int, int], rank: int, hit: Hit
) -> None:
    left, top = corner
    draw.rectangle((left, top, left + _CELL - 1, top + _CELL - 1), _FRAME)
    try:
        photo = ImageOps.contain(open_photo(content_of(hit.path), hint=_CELL), (_CELL, _CELL))
        middle = (left + (_CELL - photo.width) // 2, top + (_CELL - photo.height) // 2)
        sheet.paste(photo, middle)
    except (DataError, SourceError):
        draw.text((left + _CELL // 2, top + _CELL // 2), "not there", _FAINT, _font(16), "mm")
    line = top + _CELL + 24  # the letters stand on it
    score = f"{hit.score:.3f}"
    draw.text((left, line), f"{rank}", _ACCENT, _font(18), "ls")
    draw.text((left + _CELL, line), score, _INK, _font(16), "rs")
    indent = 10 + round(draw.textlength(f"{rank}", _font(18)))
    room = _CELL - indent - 8 - round(draw.textlength(score, _font(16)))
    name = _fitted(draw, hit.path.name, _font(14), room)
    draw.text((left + indent, line), name, _FAINT, _font(14), "ls")


def _font(size: int) -> _Font:
    return ImageFont.load_default(size)


def _fitted(draw: ImageDraw.ImageDraw, text: str, font: _Font, room: int) -> str:
    """The text on one line, its middle left out where it is longer than the room for it."""
    text = " ".join(text.encode("utf-8", "replace").decode().split())
    kept = len(text)
    fitted = text
    while kept > 1 and draw.textlength(fitted, font) > room:
        kept -= 1
        fitted = f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"
    return fitted
