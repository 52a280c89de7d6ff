"""The picture of an explanation."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hgan.errors import DataError, HganError
from hgan.render.heatmap import PANELS, heat, heat_panel, heatmap_sheet, shown_words
from hgan.runtime.bundle import Bundle
from hgan.runtime.explain import SURE, Explanation, Word
from hgan.runtime.patches import PatchGrid, PatchMap
from tests.fixtures.photos import COLOURS, save_photo
from tests.fixtures.tiny_bundle import CONTEXT_ONLY, write_tiny_bundle

BOXES = [[x / 3, y / 3, (x + 1) / 3, (y + 1) / 3] for y in range(3) for x in range(3)]
GRAY = Image.new("RGB", (90, 60), (128, 128, 128))


def word(text: str, similarity: list[float] | None = None, start: int = 0) -> Word:
    row = np.array([similarity or [0.0] * 8 + [1.0]])
    return Word(text, start, start + len(text), row, np.ones(1), 0.0)


def warmth(picture: Image.Image) -> np.ndarray:
    """(h, w): how much more red than blue."""
    pixels = np.asarray(picture).astype(int)
    return pixels[..., 0] - pixels[..., 2]


def test_heat_equals_plain_loops():
    rng = np.random.default_rng(0)
    values, boxes = rng.normal(size=5), [[*a, *(a + b)] for a, b in rng.random((5, 2, 2)) / 2]
    found = heat(values, boxes, 7, 4)
    assert found.shape == (4, 7)
    for row in range(4):
        for column in range(7):
            x, y = (column + 0.5) / 7, (row + 0.5) / 4
            total, weights = 0.0, 1e-300
            sides = [
                (min(box[i] for box in boxes), max(box[i + 2] for box in boxes)) for i in (0, 1)
            ]
            if not all(a <= point <= b for point, (a, b) in zip((x, y), sides, strict=True)):
                assert found[row, column] == 0
                continue
            for value, (x0, y0, x1, y1) in zip(values, boxes, strict=True):
                dx = (x - (x0 + x1) / 2) / (0.42 * (x1 - x0))
                dy = (y - (y0 + y1) / 2) / (0.42 * (y1 - y0))
                weight = np.exp(-(dx**2 + dy**2) / 2)
                total += weight * value
                weights += weight
            assert found[row, column] == pytest.approx(total / weights)


def test_heat_is_smooth_and_within_its_values():
    field = heat(np.arange(9.0), BOXES, 90, 90)
    assert field.min() >= 0 and field.max() <= 8
    steps = max(np.abs(np.diff(field, axis=axis)).max() for axis in (0, 1))
    assert steps < 0.35  # a hard edge between rows of regions would be a step of 3
    np.testing.assert_allclose(heat(np.full(9, 0.3), BOXES, 20, 10), 0.3)


def test_far_from_every_region_is_no_heat_rather_than_nonsense():
    field = heat(np.ones(2), [[0, 0, 0.01, 0.01], [0.5, 0.5, 0.5, 0.5]], 40, 40)
    assert np.isfinite(field).all()
    assert field[-1, -1] == 0


def test_what_a_model_does_not_see_has_no_heat():
    """It crops wide photos: regions are in the middle half of this one."""
    boxes = [[0.25 + x / 4, y / 2, 0.5 + x / 4, (y + 1) / 2] for y in range(2) for x in range(2)]
    field = heat(np.ones(4), boxes, 80, 40)
    assert (field[:, :20] == 0).all() and (field[:, 60:] == 0).all()
    np.testing.assert_allclose(field[:, 20:60], 1)


def test_warm_is_where_the_word_is():
    warm = warmth(heat_panel(GRAY, word("dog"), BOXES, 1.0))
    assert warm[45, 70] > warm[20, 45] + 50
    assert abs(warm[:20, :30]).max() < 5  # no heat leaves the photo gray


def test_one_scale_for_all_panels():
    weak = word("dog", [0.5] * 8 + [0.7])
    own, shared = (np.asarray(heat_panel(GRAY, weak, BOXES, top))[50, 75] for top in (0.2, 1.0))
    assert np.ptp(own) > np.ptp(shared) > 10  # the more heat, the more colour
    raised = word("dog", [0.9] * 8 + [1.1])
    assert (np.asarray(heat_panel(GRAY, raised, BOXES, 1.0))[50, 75] == shared).all()


def test_lightness_rises_with_heat():
    ramp = word("dog", [0.0, 0.5, 1.0] * 3)
    flat = Image.new("RGB", (300, 30), (60, 60, 60))
    light = np.asarray(heat_panel(flat, ramp, BOXES, 1.0).convert("L")).astype(int)
    assert (np.diff(light[25, 50:250]) >= -1).all()  # below the frame
    assert light[25, 250] > light[25, 50] + 60


def test_the_best_region_has_a_frame():
    edge = heat_panel(GRAY, word("dog"), BOXES, 1.0).getpixel((61, 50))
    assert edge == (255, 255, 255)


def test_no_heat_at_all():
    picture = heat_panel(GRAY, word("dog", [0.4] * 9), BOXES, 0.0)
    assert abs(warmth(picture)).max() == 0


def test_shown_words_have_a_clear_place_and_stand_in_their_order():
    texts = [f"thing{i}" for i in range(PANELS + 2)] + ["the", "of", "."]
    words = [word(text, [0.0] * 8 + [1 + i], start=20 * i) for i, text in enumerate(texts)]
    assert [w.text for w in shown_words(words)] == texts[2 : PANELS + 2]
    contrast, cosine = SURE
    vague = [
        word("anywhere", [0.5] * 9),
        word("hardly", [0.5] * 8 + [0.5 + contrast - 0.01]),
        word("absent", [cosine - contrast - 0.02] * 8 + [cosine - 0.01]),
    ]
    clear = word("ball", [0.5] * 8 + [0.5 + contrast + 0.01])
    assert [w.text for w in shown_words([*vague, clear])] == ["ball"]
    assert shown_words([]) == shown_words([word("!")]) == []


def test_contrast_is_that_of_cosines():
    """The similarity of a token is its cosine times its weight."""
    cosines = np.array([[0.1, 0.7, 0.3], [0.0, 0.2, 0.4]])
    weights = np.array([0.5, 2.0])
    made = Word("ab", 0, 2, cosines * weights[:, None], weights, 0.0)
    assert made.contrast == pytest.approx(0.45 - (0.05 + 0.35) / 2)
    alone = Word("ab", 0, 2, np.ones((1, 1)), np.ones(1), 0.0)
    assert alone.contrast == 0 and not alone.is_sure


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return Bundle.load(write_tiny_bundle(tmp_path_factory.mktemp("bundle")))


def sheet(bundle: Bundle, photo: Path | Image.Image, text: str, folder: Path) -> np.ndarray:
    heatmap_sheet(photo, bundle.explain(photo, text), folder / "why.png")
    with Image.open(folder / "why.png") as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB")).astype(int)


def test_the_photo_stands_plain_beside_its_levels(bundle, tmp_path):
    photo = save_photo(tmp_path / "green.png", COLOURS["green"])
    pixels = sheet(bundle, photo, "a green photo", tmp_path)
    green = (pixels[..., 1] > 170) & (pixels[..., ::2].max(axis=-1) < 120)
    assert green.sum() == pytest.approx(460 * 345, rel=0.05)  # once: the panels are gray


@pytest.mark.parametrize(("n", "columns", "rows"), [(1, 3, 1), (4, 4, 1), (5, 5, 1), (12, 4, 3)])
def test_panels_stand_in_rows(bundle, tmp_path, n, columns, rows):
    explanation = bundle.explain(GRAY, "red")
    words = [word(f"w{i}", [0.0, 0.0, 0.0, 1.0], start=i) for i in range(n)]
    explanation = Explanation("many", explanation.levels, [], words, explanation.boxes)
    heatmap_sheet(GRAY, explanation, tmp_path / "why.png")
    with Image.open(tmp_path / "why.png") as picture:
        side = (1180 - (columns - 1) * 20) // columns
        assert picture.height == 380 + 56 + rows * (round(side * 2 / 3) + 42 + 20)


@pytest.mark.parametrize(
    "text", ["x" * 5000, "word " * 500, "雪の中の犬 🐕", "собака", "\ud800", "naïve", "?!", "कुत्ता"]
)
def test_any_text(bundle, tmp_path, text):
    assert sheet(bundle, GRAY, text, tmp_path).shape[1] == 1236


@pytest.mark.parametrize("size", [(1, 1), (900, 1), (1, 900), (300, 900), (40, 7)])
def test_any_shape_of_photo(bundle, tmp_path, size):
    pixels = sheet(bundle, Image.new("RGB", size, (250, 0, 0)), "a red dog", tmp_path)
    assert pixels.shape[0] < 1200


@pytest.mark.parametrize("level", ["context", "shared"])
def test_a_model_without_words_shows_its_levels(tmp_path, level):
    weights = {name: float(name == level) for name in ("context", "shared", "local")}
    bundle = Bundle.load(write_tiny_bundle(tmp_path / "bundle", weights=weights))
    pixels = sheet(bundle, GRAY, "a red dog", tmp_path)
    assert pixels.shape[0] == 436
    assert (pixels.sum(axis=-1) < 200).any()  # something is written


def test_a_dual_encoder_has_one_large_panel(tmp_path):
    folder = write_tiny_bundle(tmp_path / "bundle", weights=CONTEXT_ONLY, patches=True)
    dual = Bundle.load(folder)
    photo = Image.new("RGB", (400, 300), (0, 0, 0))
    photo.paste((255, 0, 0), (300, 75, 400, 150))
    pixels = sheet(dual, photo, "red", tmp_path)
    height = round(820 * 3 / 4)
    assert pixels.shape[:2] == (436 + height + 42 + 20, 1236)
    panel = pixels[436 : 436 + height, 28 : 28 + 820]
    warm = panel[..., 0] - panel[..., 2]
    assert warm[230, 720] > warm[500, 200] + 50  # the patch, and far from it
    caption = pixels[436 + height :]
    assert (caption.sum(axis=-1) < 200).any()


def test_patches_that_are_all_the_same_have_no_heat(tmp_path):
    boxes = PatchGrid("Tiny", 3, 10).boxes(30)
    flat = PatchMap("patch tokens", np.full(9, 0.3))
    explanation = Explanation("text", [], [], [], boxes, patches=flat)
    heatmap_sheet(GRAY, explanation, tmp_path / "why.png")
    with Image.open(tmp_path / "why.png") as picture:
        assert abs(warmth(picture.convert("RGB"))).max() < 10


def test_errors(bundle, tmp_path):
    explanation = bundle.explain(GRAY, "red")
    with pytest.raises(DataError, match="no such file"):
        heatmap_sheet(tmp_path / "gone.jpg", explanation, tmp_path / "why.png")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(HganError, match="cannot be written"):
        heatmap_sheet(GRAY, explanation, tmp_path / "file" / "why.png")
