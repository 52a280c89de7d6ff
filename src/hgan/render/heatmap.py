"""An explanation as one picture: the photo with its levels, then one heat map for each word."""

import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from hgan.errors import HganError
from hgan.files import atomic_write
from hgan.render.text import draw_text, text_width, wrapped
from hgan.runtime.explain import Explanation, Level, Word
from hgan.runtime.images import read_photo
from hgan.runtime.patches import PatchMap

PANELS = 12
"""Maximum number of words that are shown; the least similar ones of more are left out."""

# Sizes in pixels.
_WIDTH = 1180
_GAP = 20
_MARGIN = 28
_PHOTO = (460, 380)
_TOP = _PHOTO[1] + 2 * _MARGIN  # of the panels
_CAPTION = 42
_NARROW = 150  # minimum width of a caption
_LARGE = (820, 720)  # of the panel of a whole sentence

_PAPER = (250, 250, 248)
_FRAME = (232, 232, 228)
_INK = (28, 28, 30)
_FAINT = (112, 112, 118)
_BELOW_ZERO = (190, 190, 190)
_LEVELS = {"context": (52, 101, 164), "shared": (32, 140, 130), "local": (214, 110, 30)}

# Matplotlib's Inferno colour map (public domain) without its ends; its lightness rises evenly.
_COLOURS = np.frombuffer(
    bytes.fromhex("420a68 6a176e 932667 bc3754 dd513a f37819 fca50a f6d746"), np.uint8
).reshape(-1, 3)
_SPREAD = 0.42
"""Standard deviation of a region's Gaussian relative to the size of the region, so that little heat
reaches the centre of a neighbouring region."""

Photo = Path | str | bytes | Image.Image
"""A file, its bytes, or an open image."""


def heatmap_sheet(photo: Photo, explanation: Explanation, path: Path | str) -> None:
    """Write a PNG that shows an explanation.

    The sentence and the contribution of each level to S are next to the photo. Below, each word
    whose place is sure (`Word.is_sure`) has a panel: the photo, coloured by the word's similarity
    to each region minus its similarity to its least similar region. All panels have the same scale;
    a frame marks the word's best region, whose similarity is in the caption. Function words ("the",
    "of") and words that could be anywhere have none.

    For a dual encoder, one large panel shows the whole sentence in the same way, by patches.

    Args:
        photo: the explained photo.
        explanation: the result of `hgan.explain`.
        path: path of the PNG file to write.

    Raises:
        DataError: the photo cannot be read.
        HganError: the file cannot be written.
    """
    image = read_photo(photo, hint=max(_PHOTO if explanation.patches is None else _LARGE))
    if explanation.patches is None:
        sheet = _words_sheet(image, explanation)
    else:
        sheet = _patches_sheet(image, explanation, explanation.patches)
    try:
        with atomic_write(Path(path)) as file:
            sheet.save(file, "PNG", optimize=True)
    except OSError as error:
        raise HganError(f"{path}: the picture cannot be written ({error})") from error


def _words_sheet(image: Image.Image, explanation: Explanation) -> Image.Image:
    words = shown_words(explanation.words)
    # As few empty places as possible; if equal, four columns are preferred to three and five.
    columns = min((4, 3, 5), key=lambda n: -len(words) % n) if len(words) > 3 else 3
    side = (_WIDTH - (columns - 1) * _GAP) // columns
    panel = _within(image, side, side * 5 // 4)
    rows = math.ceil(len(words) / columns)
    warmest = max((float(np.ptp(word.similarity)) for word in words), default=0.0)
    scale = f"{warmest:.2f} above the similarity of the word's least similar region"
    height = rows * (panel.height + _CAPTION + _GAP)
    sheet = _draw_head(image, explanation, height, scale if warmest else None)
    if explanation.words and not words:
        draw_text(
            sheet, (_MARGIN, _TOP - 6), "No word has a clear place in this photo.", 16, _FAINT
        )
    for place, word in enumerate(words):
        row, column = divmod(place, columns)
        corner = (_MARGIN + column * (side + _GAP), _TOP + row * (panel.height + _CAPTION + _GAP))
        picture = heat_panel(panel, word, explanation.boxes, warmest)
        sheet.paste(picture, corner)
        _caption(sheet, (corner[0], corner[1] + panel.height), max(panel.width, _NARROW), word)
    return sheet


def _patches_sheet(image: Image.Image, explanation: Explanation, patches: PatchMap) -> Image.Image:
    panel = _within(image, *_LARGE)
    warmest = float(np.ptp(patches.similarity))
    scale = f"{warmest:.2f} above the similarity of the least similar patch" if warmest else None
    sheet = _draw_head(image, explanation, panel.height + _CAPTION + _GAP, scale)
    sheet.paste(heat_panel(panel, patches, explanation.boxes, warmest), (_MARGIN, _TOP))
    line = _TOP + panel.height + 25  # the baseline
    caption = f"best patch {patches.best:.2f}; from the {patches.source}"
    draw_text(sheet, (_MARGIN, line), caption, 20, _INK, _WIDTH)
    return sheet


def shown_words(words: list[Word]) -> list[Word]:
    """At most `PANELS` words whose place is sure, in the order of the sentence; words with a high
    similarity are preferred."""
    sure = [word for word in words if word.is_sure]
    best = sorted(sure, key=lambda word: -word.best)[:PANELS]
    return sorted(best, key=lambda word: word.start)


def heat(values: np.ndarray, boxes: list[list[float]], width: int, height: int) -> np.ndarray:
    """Interpolate values of regions (R,) to a smooth field over a photo, (height, width).

    Each point is the mean over all regions, weighted by a Gaussian around each region's centre.
    There is no heat outside of the rectangle around all regions, which a model that crops photos
    does not see.
    """
    box = np.asarray(boxes, np.float64)  # (R, 4)
    centre = (box[:, :2] + box[:, 2:]) / 2
    size = np.maximum(_SPREAD * (box[:, 2:] - box[:, :2]), 1e-3)
    weights = []
    for axis, length in enumerate((width, height)):
        points = (np.arange(length) + 0.5) / length
        distance = (points[:, None] - centre[:, axis]) / size[:, axis]  # (length, R)
        seen = (points >= box[:, axis].min()) & (points <= box[:, axis + 2].max())  # (length,)
        weights.append(np.exp(-0.5 * distance**2) * seen[:, None])
    across, down = weights
    # Where the weights are 0, the heat is 0.
    return np.asarray((down * values) @ across.T / np.maximum(down @ across.T, 1e-300))


def heat_panel(
    photo: Image.Image, word: Word | PatchMap, boxes: list[list[float]], warmest: float
) -> Image.Image:
    """The photo in gray with the heat map of a word, or of a whole sentence, on it.

    Args:
        photo: the photo, in the size of the panel.
        word: the word, or the patches of a sentence.
        boxes: R boxes x0 y0 x1 y1 of the regions, in 0..1 of the photo.
        warmest: maximum of the scale, in cosine similarity above the least similar region.
    """
    above = word.similarity - word.similarity.min()
    field = heat(above / (warmest or 1.0), boxes, *photo.size)[..., None]  # (h, w, 1)
    gray = np.asarray(photo.convert("L"), np.float64)[..., None]  # (h, w, 1)
    picture = _heated(gray, field)
    _frame(picture, boxes[word.region])
    return picture


def _heated(gray: np.ndarray, field: np.ndarray) -> Image.Image:
    """Blend heat in 0..1 over a gray photo, both (h, w, 1); without heat the photo is only paler.

    The heat is blended in as light ("screen") over a darker photo, so that the heat is visible on
    dark areas and the photo remains visible.
    """
    stops = np.linspace(0, 1, len(_COLOURS))
    colour = np.concatenate([np.interp(field, stops, channel) for channel in _COLOURS.T], axis=-1)
    glow = 255 - (255 - 0.55 * gray) * (255 - 0.9 * colour) / 255
    warm = np.sqrt(field)
    pixels = (1 - warm) * (0.8 * gray + 30) + warm * glow
    return Image.fromarray(np.rint(pixels).clip(0, 255).astype(np.uint8))


def _within(image: Image.Image, width: int, height: int) -> Image.Image:
    """Resize an image to the largest size that fits; each side has at least one pixel."""
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


def _caption(sheet: Image.Image, corner: tuple[int, int], width: int, word: Word) -> None:
    left, top = corner
    score = f"{word.best:.2f}"
    line = top + 25  # the baseline
    draw_text(sheet, (left + width, line), score, 16, _FAINT, align="right")
    room = width - 12 - round(text_width(score, 16))
    draw_text(sheet, (left, line), word.text, 20, _INK, room)


def _draw_head(
    image: Image.Image, explanation: Explanation, height: int, scale: str | None
) -> Image.Image:
    """A sheet with the photo, the sentence and the levels, and below them `height` pixels for
    panels; `scale` is the end of their scale, if there is heat."""
    sheet = Image.new("RGB", (_WIDTH + 2 * _MARGIN, _TOP + height), _PAPER)
    photo = _within(image, *_PHOTO)
    sheet.paste(photo, (_MARGIN, _MARGIN))
    left, right = _MARGIN + photo.width + 40, _MARGIN + _WIDTH
    line = _MARGIN + 30
    lines = wrapped(explanation.text, 30, right - left)
    if len(lines) > 3:
        lines[2] = f"{lines[2]} …"
    for text in lines[:3]:
        draw_text(sheet, (left, line), text, 30, _INK, right - left)
        line += 40
    line = max(line + 20, _MARGIN + 130)
    draw_text(sheet, (left, line), f"similarity {explanation.score:.3f}", 22, _INK)
    line += 40
    whole = sum(abs(level.part) for level in explanation.levels) or 1.0
    for level in explanation.levels:
        _draw_level(sheet, (left, line), right, level, abs(level.part) / whole)
        line += 30
    if explanation.slots:
        cosines = ", ".join(f"{cosine:.2f}" for cosine in explanation.slots)
        draw_text(sheet, (left, line), f"slots: {cosines}", 15, _FAINT, right - left)
        line += 30
    if scale is not None:
        _draw_scale(sheet, (left, line + 10), scale)
    return sheet


def _draw_level(
    sheet: Image.Image, corner: tuple[int, int], right: int, level: Level, share: float
) -> None:
    left, line = corner
    draw_text(sheet, (left, line), level.name, 16, _FAINT)
    sum_ = f"{level.weight:.2f} x {level.similarity:.3f} = {level.part:.3f}"
    draw_text(sheet, (right, line), sum_, 16, _FAINT, align="right")
    draw = ImageDraw.Draw(sheet)
    start, room = left + 80, right - left - 80 - 170
    draw.rectangle((start, line - 13, start + room, line + 1), _FRAME)
    if full := round(share * room):
        colour = _LEVELS[level.name] if level.part > 0 else _BELOW_ZERO
        draw.rectangle((start, line - 13, start + full, line + 1), colour)


def _draw_scale(sheet: Image.Image, corner: tuple[int, int], text: str) -> None:
    left, line = corner
    length = 160
    ramp = np.tile(np.linspace(0, 1, length), (14, 1))[..., None]  # (14, length, 1)
    sheet.paste(_heated(np.full_like(ramp, 128), ramp), (left + 20, line - 13))
    draw_text(sheet, (left, line), "0", 15, _FAINT)
    draw_text(sheet, (left + 28 + length, line), text, 15, _FAINT)
