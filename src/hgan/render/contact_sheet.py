"""A contact sheet: the hits of a search as one picture, best first, each with rank and score."""

import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageOps

from hgan.errors import DataError, HganError, SourceError
from hgan.files import atomic_write
from hgan.render.text import draw_text, text_width
from hgan.runtime.images import open_photo
from hgan.runtime.video import clock
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


def contact_sheet(hits: Sequence[Hit], path: Path | str, title: str = "") -> None:
    """Write a PNG with the hits in rows of five under a title, such as the query.

    A photo that was deleted after it was indexed is shown as "not found".

    Args:
        hits: photos that a search found, best first.
        path: path of the PNG file to write.
        title: text in any script; see `hgan.render.text` for the fonts.

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
    if title:
        draw_text(sheet, (_GAP, 44), title, 26, _INK, sheet.width - 2 * _GAP)
    for place, hit in enumerate(hits):
        row, column = divmod(place, COLUMNS)
        left = _GAP + column * (_CELL + _GAP)
        _draw_hit(sheet, (left, top + row * (_CELL + _CAPTION + _GAP)), place + 1, hit)
    try:
        with atomic_write(Path(path)) as file:
            sheet.save(file, "PNG", optimize=True)
    except OSError as error:
        raise HganError(f"{path}: the contact sheet cannot be written ({error})") from error


def _draw_hit(sheet: Image.Image, corner: tuple[int, int], rank: int, hit: Hit) -> None:
    left, top = corner
    frame = (left, top, left + _CELL - 1, top + _CELL - 1)
    ImageDraw.Draw(sheet).rectangle(frame, _FRAME)
    try:
        photo = open_photo(content_of(hit.photo), _CELL, hit.path.name)
        photo = ImageOps.contain(photo, (_CELL, _CELL))
        middle = (left + (_CELL - photo.width) // 2, top + (_CELL - photo.height) // 2)
        sheet.paste(photo, middle)
    except (DataError, SourceError):
        middle = (left + _CELL // 2, top + _CELL // 2 + 6)
        draw_text(sheet, middle, "not found", 16, _FAINT, align="center")
    line = top + _CELL + 24  # the baseline
    score = f"{hit.score:.3f}"
    draw_text(sheet, (left, line), f"{rank}", 18, _ACCENT)
    draw_text(sheet, (left + _CELL, line), score, 16, _INK, align="right")
    indent = 10 + round(text_width(f"{rank}", 18))
    room = _CELL - indent - 8 - round(text_width(score, 16))
    name = hit.path.name if hit.moment is None else f"{hit.path.name} at {clock(hit.moment)}"
    draw_text(sheet, (left + indent, line), name, 14, _FAINT, room)
