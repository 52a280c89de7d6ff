"""An explanation as one picture: the photo with its levels, then where each word sees itself."""

import math
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hgan.errors import HganError
from hgan.files import atomic_write
from hgan.runtime.explain import Explanation, Level, Word
from hgan.runtime.images import read_photo

PANELS = 12
"""Words that are shown; of a longer sentence, those that tell least are left out."""

# Sizes in pixels.
_WIDTH = 1180
_GAP = 20
_MARGIN = 28
_PHOTO = (460, 380)
_CAPTION = 42
_NARROW = 150  # a caption's room, under a panel that is narrower

_PAPER = (250, 250, 248)
_FRAME = (232, 232, 228)
_INK = (28, 28, 30)
_FAINT = (112, 112, 118)
_BELOW_ZERO = (190, 190, 190)
_LEVELS = {"context": (52, 101, 164), "shared": (32, 140, 130), "local": (214, 110, 30)}

# Inferno of matplotlib (public domain) without its ends: lightness rises evenly along it.
_COLOURS = np.frombuffer(
    bytes.fromhex("420a68 6a176e 932667 bc3754 dd513a f37819 fca50a f6d746"), np.uint8
).reshape(-1, 3)
_SPREAD = 0.42
"""How far a region's heat reaches, in its own size; a neighbour's middle gets little of it."""

_FONTS = (
    *("DejaVuSans.ttf", "NotoSans-Regular.ttf", "NotoSansCJK-Regular.ttc"),
    *("Arial Unicode.ttf", "msyh.ttc", "seguisym.ttf", "arial.ttf"),
)
"""Fonts of operating systems, for scripts that Pillow's own does not have."""

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_Draw = ImageDraw.ImageDraw
_Photo = Path | str | bytes | Image.Image


def heatmap_sheet(photo: _Photo, explanation: Explanation, path: Path) -> None:
    """Write a PNG that shows an explanation.

    Beside the photo stand the sentence and what each level adds to S. Below, each word has a
    panel: the photo, warm where the word is more similar to it than to the region that it is
    least similar to. One scale holds for all panels; a frame marks the word's best region, whose
    similarity is in the caption. Words that hold the sentence together are paler.

    Args:
        photo: the one that was explained.
        explanation: of `hgan.runtime.explain.explain`.
        path: where the picture goes.

    Raises:
        DataError: the photo cannot be read.
        HganError: the file cannot be written.
    """
    image = read_photo(photo, hint=max(_PHOTO))
    words = shown_words(explanation.words)
    # As few empty places as can be; rather four in a row than three or five.
    columns = min((4, 3, 5), key=lambda n: -len(words) % n) if len(words) > 3 else 3
    side = (_WIDTH - (columns - 1) * _GAP) // columns
    panel = _within(image, side, side * 5 // 4)
    rows = math.ceil(len(words) / columns)
    top = _PHOTO[1] + 2 * _MARGIN
    height = top + rows * (panel.height + _CAPTION + _GAP)
    sheet = Image.new("RGB", (_WIDTH + 2 * _MARGIN, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    warmest = max((float(np.ptp(word.similarity)) for word in words), default=0.0)
    _draw_head(sheet, draw, image, explanation, warmest)
    for place, word in enumerate(words):
        row, column = divmod(place, columns)
        corner = (_MARGIN + column * (side + _GAP), top + row * (panel.height + _CAPTION + _GAP))
        picture = heat_panel(panel, word, explanation.boxes, warmest)
        sheet.paste(picture, corner)
        _caption(draw, (corner[0], corner[1] + panel.height), max(panel.width, _NARROW), word)
    try:
        with atomic_write(path) as file:
            sheet.save(file, "PNG", optimize=True)
    except OSError as error:
        raise HganError(f"{path}: the picture cannot be written ({error})") from error


def shown_words(words: list[Word]) -> list[Word]:
    """At most `PANELS` words in the order of the sentence; punctuation only where all is."""
    spoken = [word for word in words if not word.is_punctuation] or words
    telling = sorted(spoken, key=lambda word: (word.is_function, -word.best))[:PANELS]
    return sorted(telling, key=lambda word: word.start)


def heat(values: np.ndarray, boxes: list[list[float]], width: int, height: int) -> np.ndarray:
    """Values of regions (R,) as a smooth field over a photo, (height, width).

    Each point has the mean of all regions, weighted by a Gaussian around each one's middle.
    """
    box = np.asarray(boxes, np.float64)  # (R, 4)
    middle = (box[:, :2] + box[:, 2:]) / 2
    size = np.maximum(_SPREAD * (box[:, 2:] - box[:, :2]), 1e-3)
    near = []
    for axis, length in enumerate((width, height)):
        points = (np.arange(length) + 0.5) / length
        apart = (points[:, None] - middle[:, axis]) / size[:, axis]  # (length, R)
        near.append(np.exp(-0.5 * apart**2))
    across, down = near
    # Far from every region the weights vanish, and there is no heat.
    return np.asarray((down * values) @ across.T / np.maximum(down @ across.T, 1e-300))


def heat_panel(
    photo: Image.Image, word: Word, boxes: list[list[float]], warmest: float
) -> Image.Image:
    """The photo in gray with a word's heat on it; `warmest` is the top of the scale."""
    above = word.similarity - word.similarity.min()
    field = heat(above / (warmest or 1.0), boxes, *photo.size)[..., None]  # (h, w, 1)
    gray = np.asarray(photo.convert("L"), np.float64)[..., None]  # (h, w, 1)
    picture = _heated(gray, field)
    if word.is_function:
        return Image.blend(picture, Image.new("RGB", picture.size, _PAPER), 0.6)
    _frame(picture, boxes[word.region])
    return picture


def _heated(gray: np.ndarray, field: np.ndarray) -> Image.Image:
    """A gray photo under heat in 0..1, (h, w, 1) both; without heat it stays as it is, but paler.

    Heat is light over a darker photo: it stays clear on dark things, and the photo shows through.
    """
    stops = np.linspace(0, 1, len(_COLOURS))
    colour = np.concatenate([np.interp(field, stops, channel) for channel in _COLOURS.T], axis=-1)
    glow = 255 - (255 - 0.55 * gray) * (255 - 0.9 * colour) / 255
    warm = np.sqrt(field)
    pixels = (1 - warm) * (0.8 * gray + 30) + warm * glow
    return Image.fromarray(np.rint(pixels).clip(0, 255).astype(np.uint8))


def _within(image: Image.Image, width: int, height: int) -> Image.Image:
    """The whole image, as large as fits; never without any pixel, however narrow it is."""
    scale = min(width / image.width, height / image.height)
    size = max(round(image.width * scale), 1), max(round(image.height * scale), 1)
    return image.resize(size, Image.Resampling.BICUBIC)


def _frame(picture: Image.Image, box: list[float]) -> None:
    width, height = picture.size
    left, top = round(box[0] * width), round(box[1] * height)
    right, bottom = round(box[2] * width) - 1, round(box[3] * height) - 1
    if min(right - left, bottom - top) < 4:  # no room for a frame
        return
    draw = ImageDraw.Draw(picture)
    draw.rectangle((left, top, right, bottom), outline=(40, 40, 40), width=3)
    draw.rectangle((left + 1, top + 1, right - 1, bottom - 1), outline="white")


def _caption(draw: _Draw, corner: tuple[int, int], width: int, word: Word) -> None:
    left, top = corner
    ink = _FAINT if word.is_function else _INK
    score = f"{word.best:.2f}"
    line = top + 25  # the letters stand on it
    draw.text((left + width, line), score, _FAINT, _font(16), "rs")
    room = width - 12 - round(draw.textlength(score, _font(16)))
    _text(draw, (left, line), word.text, 20, ink, room)


def _draw_head(
    sheet: Image.Image, draw: _Draw, image: Image.Image, explanation: Explanation, warmest: float
) -> None:
    photo = _within(image, *_PHOTO)
    sheet.paste(photo, (_MARGIN, _MARGIN))
    left, right = _MARGIN + photo.width + 40, _MARGIN + _WIDTH
    line = _MARGIN + 30
    lines = _wrapped(draw, explanation.text, 30, right - left)
    if len(lines) > 3:
        lines[2] = f"{lines[2]} …"
    for text in lines[:3]:
        _text(draw, (left, line), text, 30, _INK, right - left)
        line += 40
    line = max(line + 20, _MARGIN + 130)
    draw.text((left, line), f"similarity {explanation.score:.3f}", _INK, _font(22), "ls")
    line += 40
    whole = sum(abs(level.part) for level in explanation.levels) or 1.0
    for level in explanation.levels:
        _draw_level(draw, (left, line), right, level, abs(level.part) / whole)
        line += 30
    if explanation.slots:
        cosines = "   ".join(f"{cosine:.2f}" for cosine in explanation.slots)
        _text(draw, (left, line), f"slots   {cosines}", 15, _FAINT, right - left)
        line += 30
    if warmest:
        _draw_scale(sheet, draw, (left, line + 10), warmest)


def _draw_level(
    draw: _Draw, corner: tuple[int, int], right: int, level: Level, share: float
) -> None:
    left, line = corner
    draw.text((left, line), level.name, _FAINT, _font(16), "ls")
    sum_ = f"{level.weight:.2f} x {level.similarity:.3f} = {level.part:.3f}"
    draw.text((right, line), sum_, _FAINT, _font(16), "rs")
    start, room = left + 80, right - left - 80 - 170
    draw.rectangle((start, line - 13, start + room, line + 1), _FRAME)
    if full := round(share * room):
        colour = _LEVELS[level.name] if level.part > 0 else _BELOW_ZERO
        draw.rectangle((start, line - 13, start + full, line + 1), colour)


def _draw_scale(sheet: Image.Image, draw: _Draw, corner: tuple[int, int], warmest: float) -> None:
    left, line = corner
    length = 160
    ramp = np.tile(np.linspace(0, 1, length), (14, 1))[..., None]  # (14, length, 1)
    sheet.paste(_heated(np.full_like(ramp, 128), ramp), (left + 20, line - 13))
    draw.text((left, line), "0", _FAINT, _font(15), "ls")
    text = f"{warmest:.2f}   more similar than the word's least similar region"
    draw.text((left + 28 + length, line), text, _FAINT, _font(15), "ls")


def _text(
    draw: _Draw, corner: tuple[int, int], text: str, size: int, ink: tuple[int, ...], room: int
) -> None:
    """Text that stands on a line, its middle left out where it is longer than the room."""
    font = _font_for(text, size)
    fitted = text
    for kept in range(min(len(text), room), 0, -1):  # a letter takes more than a pixel
        if kept < len(text):
            fitted = f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"
        if draw.textlength(fitted, font) <= room:
            break
    draw.text(corner, fitted, ink, font, "ls")


def _wrapped(draw: _Draw, text: str, size: int, room: int) -> list[str]:
    font = _font_for(text, size)
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if not lines[-1] or draw.textlength(longer, font) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


@cache
def _font(size: int) -> _Font:
    return ImageFont.load_default(size)


def _font_for(text: str, size: int) -> _Font:
    """The font that lacks the fewest letters: Pillow's own, or else one of this computer."""
    return min((_font(size), *_system_fonts(size)), key=lambda font: _lacking(font, text))


@cache
def _system_fonts(size: int) -> list[_Font]:
    found: list[_Font] = []
    for name in _FONTS:
        try:
            found.append(ImageFont.truetype(name, size))
        except OSError:
            continue
    return found


def _lacking(font: _Font, text: str) -> int:
    """How many letters the font draws as it draws what no font has."""
    nothing = bytes(font.getmask("\uffff"))
    return sum(bytes(font.getmask(letter)) == nothing for letter in set(text) if letter.isalnum())
