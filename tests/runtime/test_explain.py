"""The parts of a similarity sum to it, and equal those of plain loops."""

import io
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hgan.errors import DataError
from hgan.runtime.bundle import Bundle
from hgan.runtime.explain import Explanation, take_apart
from hgan.runtime.preprocessing import Preprocessing
from hgan.runtime.similarity import score_levels
from tests.fixtures.photos import COLOURS, save_photo
from tests.fixtures.tiny_bundle import COLOURS as COLOUR_WORDS
from tests.fixtures.tiny_bundle import (
    CONTEXT_ONLY,
    MAX_WORDS,
    SIZE,
    WEIGHTS,
    WORDS,
    edit_config,
    write_tiny_bundle,
)

MODELS = {
    "all": WEIGHTS,
    "context": {"context": 1.0, "shared": 0.0, "local": 0.0},
    "local": {"context": 0.0, "shared": 0.0, "local": 1.0},
    "no shared": {"context": 0.4, "shared": 0.0, "local": 0.6},
    "no local": {"context": 0.7, "shared": 0.3, "local": 0.0},
}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    folder = tmp_path_factory.mktemp("bundles")
    return {
        name: Bundle.load(write_tiny_bundle(folder / name, weights=weights))
        for name, weights in MODELS.items()
    }


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return Bundle.load()


def noise(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def true_levels(
    bundle: Bundle, photo: Image.Image, text: str
) -> tuple[float, dict[str, np.ndarray]]:
    photos = bundle.encode_images([Preprocessing(bundle.config.size).pixels(photo)])
    scores = score_levels(photos, bundle.encode_texts([text]), bundle.config.weights)
    return float(scores.total[0, 0]), scores.levels


def check_sums(explanation: Explanation, weights: dict[str, float]) -> None:
    """Every number that is the sum of others, from those."""
    levels = {level.name: level for level in explanation.levels}
    assert set(levels) == {name for name, weight in weights.items() if weight}
    assert explanation.score == sum(
        weights[name] * level.similarity for name, level in levels.items()
    )
    if "shared" in levels:
        mean = sum(explanation.slots) / len(explanation.slots)
        assert levels["shared"].similarity == pytest.approx(mean, abs=1e-12)
    if "local" in levels:
        best = np.concatenate([word.pieces.max(axis=1) for word in explanation.words])
        assert levels["local"].similarity == pytest.approx(best.mean(), abs=1e-12)
        parts = sum(word.part for word in explanation.words)
        assert levels["local"].similarity == pytest.approx(parts, abs=1e-12)


words = st.sampled_from([*COLOUR_WORDS, *WORDS, "dogs", "tri-red", "bad's", ",", "!"])


@settings(max_examples=60)
@given(
    st.sampled_from(list(MODELS)),
    st.lists(words, min_size=1, max_size=20).map(" ".join),
    st.integers(0, 2**32 - 1),
)
def test_the_parts_sum_to_what_a_search_scores(bundles, model, text, seed):
    bundle, photo = bundles[model], noise(seed)
    explanation = bundle.explain(photo, text)
    check_sums(explanation, MODELS[model])
    total, levels = true_levels(bundle, photo, text)
    assert explanation.score == pytest.approx(total, abs=1e-5)
    for level in explanation.levels:
        assert level.similarity == pytest.approx(float(levels[level.name][0, 0]), abs=1e-5)


@settings(max_examples=30)
@given(st.lists(words, min_size=1, max_size=6).map(" ".join), st.integers(0, 2**32 - 1))
def test_similarities_of_pieces_equal_plain_loops(bundles, text, seed):
    bundle, photo = bundles["all"], noise(seed)
    query = bundle.encode_texts([text])
    image = bundle.encode_images([Preprocessing(SIZE).pixels(photo)])
    expected = [
        [sum(float(a) * float(b) for a, b in zip(piece, region, strict=True)) for region in regions]
        for regions in [image.local[0]]
        for piece, real in zip(query.local[0], query.mask[0], strict=True)
        if real
    ]
    explanation = bundle.explain(photo, text)
    np.testing.assert_allclose(
        np.concatenate([word.pieces for word in explanation.words]), expected, atol=1e-6
    )
    for word in explanation.words:
        columns = range(len(explanation.boxes))
        means = [sum(row[r] for row in word.pieces) / len(word.pieces) for r in columns]
        assert word.similarity == pytest.approx(means)
        assert means[word.region] == pytest.approx(max(means)) == pytest.approx(word.best)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a red dog", ["a", "red", "dog"]),
        (
            "  A tri-colored dog's BALL , don’t!",
            ["A", "tri-colored", "dog's", "BALL", ",", "don’t"],
        ),
        ("red-", ["red", "-"]),
        ("'red'", ["'", "red", "'"]),
        ("naïve \ud800 dog", ["naïve", "?", "dog"]),
        ("雪の犬 🐕", ["雪", "の", "犬", "🐕"]),
    ],
)
def test_words_are_as_a_person_wrote_them(shipped, text, expected):
    explanation = shipped.explain(noise(0), text)
    assert [word.text for word in explanation.words][: len(expected)] == expected
    for word in explanation.words:
        assert explanation.text[word.start : word.end] == word.text


def test_a_word_of_many_pieces_is_one_word(bundles):
    explanation = bundles["all"].explain(noise(0), "red zebra")
    assert [len(word.pieces) for word in explanation.words] == [1, 5]


def test_what_the_model_does_not_read_is_left_out(bundles):
    explanation = bundles["all"].explain(noise(0), "red " * 30)
    assert len(explanation.words) == MAX_WORDS - 2
    check_sums(explanation, WEIGHTS)


def test_a_text_of_marks_alone_has_no_words_and_no_local_similarity(shipped):
    explanation = shipped.explain(noise(0), "[CLS]")
    assert explanation.words == []
    total, _ = true_levels(shipped, noise(0), "[CLS]")
    assert explanation.score == pytest.approx(total, abs=1e-5)


@pytest.mark.parametrize(
    ("word", "function"), [("A", True), ("the", True), (".", True), ("dog", False), ("red", False)]
)
def test_words_that_name_nothing(bundles, word, function):
    [only] = bundles["all"].explain(noise(0), word).words
    assert only.is_function == function


def test_a_word_finds_the_region_of_its_colour(bundles):
    pixels = np.zeros((SIZE, SIZE, 3), np.uint8)
    half = SIZE // 2
    pixels[:half, :half] = (255, 0, 0)
    pixels[half:, :half] = (0, 0, 255)
    explanation = bundles["all"].explain(Image.fromarray(pixels), "red blue")
    red, blue = (explanation.boxes[word.region] for word in explanation.words)
    assert (red, blue) == ([0, 0, 0.5, 0.5], [0, 0.5, 0.5, 1])


def test_levels_that_a_model_lacks_are_absent(bundles):
    bare = bundles["context"].explain(noise(0), "red dog")
    assert [level.name for level in bare.levels] == ["context"]
    assert bare.words == [] and bare.slots == []
    assert bundles["no local"].explain(noise(0), "red dog").words == []
    assert bundles["local"].explain(noise(0), "red dog").slots == []


def test_weights_of_words_average_one_also_where_rows_are_short(bundles):
    """In a model with a semantic prior, rows of photos and texts are shorter than one."""
    bundle = bundles["all"]
    photo = bundle.encode_images([Preprocessing(SIZE).pixels(noise(0))])
    sentence = bundle.encode_texts(["a dog in snow"])
    spans = bundle.words("a dog in snow")

    def explained(scale: float) -> Explanation:
        short = replace(sentence, local=scale * sentence.local)
        return take_apart(photo, short, "a dog in snow", spans, bundle.weights, bundle.boxes)

    long, short = explained(1.0), explained(0.6)
    for word, same in zip(short.words, long.words, strict=True):
        np.testing.assert_allclose(word.weights, same.weights, rtol=1e-5)
        assert word.part == pytest.approx(0.6 * same.part, rel=1e-5)


def test_a_photo_in_any_form_is_the_same_photo(bundles, tmp_path):
    path = save_photo(tmp_path / "red.png", COLOURS["red"])
    turned = tmp_path / "turned.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown after a quarter turn
    with Image.open(path) as photo:
        photo.transpose(Image.Transpose.ROTATE_90).save(turned, exif=exif)
    with Image.open(path) as image, Image.open(turned) as turned_image:
        forms = [path, str(path), path.read_bytes(), image, turned, turned_image]
        scores = [bundles["all"].explain(form, "a red photo").score for form in forms]
    assert scores == [scores[0]] * len(forms)


def test_json_holds_all_that_the_score_is_made_of(bundles):
    explanation = bundles["all"].explain(noise(3), "a red zebra")
    data = json.loads(json.dumps(explanation.as_dict()))
    rows = [row for word in data["words"] for row in word["pieces"]]
    local = sum(max(row) for row in rows) / len(rows)
    shared = sum(data["slots"]) / len(data["slots"])
    context = data["levels"]["context"]["similarity"]
    weight = {name: level["weight"] for name, level in data["levels"].items()}
    score = weight["context"] * context + weight["shared"] * shared + weight["local"] * local
    assert data["score"] == pytest.approx(score, abs=1e-12)
    zebra = data["words"][2]
    assert data["text"][zebra["start"] : zebra["end"]] == zebra["text"] == "zebra"
    assert len(zebra["similarity"]) == len(data["boxes"]) == 4


@pytest.fixture(scope="module")
def dual(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A dual encoder of 4 x 4 patches."""
    folder = tmp_path_factory.mktemp("dual") / "bundle"
    return Bundle.load(write_tiny_bundle(folder, weights=CONTEXT_ONLY, patches=True))


def test_a_dual_encoder_finds_the_patches_of_a_sentence(dual):
    pixels = np.zeros((SIZE, SIZE, 3), np.uint8)
    pixels[4:8, 12:] = (255, 0, 0)
    explanation = dual.explain(Image.fromarray(pixels), "a red dog")
    patches = explanation.patches
    assert explanation.boxes[patches.region] == [0.75, 0.25, 1, 0.5]
    assert patches.best == patches.similarity.max() > patches.similarity.min() + 0.5
    assert len(explanation.boxes) == len(patches.similarity) == 16
    assert patches.source == "patch tokens of Tiny, without the last attention; approximate"
    encoded = dual.encode_images([pixels])
    score = float(encoded.context[0] @ dual.encode_texts(["a red dog"]).context[0])
    assert explanation.score == pytest.approx(score, abs=1e-6)  # the patches are no part of it
    assert explanation.is_whole and explanation.words == []


def test_patches_of_a_photo_that_is_cropped_are_placed_in_it(tmp_path):
    folder = write_tiny_bundle(tmp_path / "bundle", weights=CONTEXT_ONLY, patches=True)
    crop = {"fit": "crop", "filter": "bicubic", "shorter_side": SIZE}
    edit_config(folder, preprocessing=crop)
    pixels = np.zeros((SIZE, 2 * SIZE, 3), np.uint8)
    pixels[:4, 20:24] = (255, 0, 0)  # the last patch of the first row, which starts at 8
    explanation = Bundle.load(folder).explain(Image.fromarray(pixels), "red")
    assert explanation.boxes[explanation.patches.region] == [20 / 32, 0, 24 / 32, 0.25]


def test_patches_can_be_sent(dual):
    explanation = dual.explain(noise(0), "a red dog")
    values = json.loads(json.dumps(explanation.as_dict()))
    assert values["patches"]["region"] == explanation.patches.region
    again = Explanation.from_dict(values)
    assert again.as_dict() == values
    np.testing.assert_array_equal(again.patches.similarity, explanation.patches.similarity)
    del values["patches"]  # an older service
    assert Explanation.from_dict(values).patches is None


def test_text_that_is_not_unicode_can_be_written(bundles):
    explanation = bundles["all"].explain(noise(0), "red \ud800 dog")
    assert json.dumps(explanation.as_dict(), ensure_ascii=False).encode()


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_no_words(bundles, text):
    with pytest.raises(DataError, match="no words"):
        bundles["all"].explain(noise(0), text)


def test_photos_that_cannot_be_read(bundles, tmp_path):
    with pytest.raises(DataError, match="no such file"):
        bundles["all"].explain(tmp_path / "gone.jpg", "red")
    with pytest.raises(DataError, match="not a photo"):
        bundles["all"].explain(b"no photo", "red")
    whole = save_photo(tmp_path / "red.png", COLOURS["red"]).read_bytes()
    with (
        Image.open(io.BytesIO(whole[: len(whole) // 2])) as cut,
        pytest.raises(DataError, match="cannot be decoded"),
    ):
        bundles["all"].explain(cut, "red")


def test_an_endless_word_takes_no_endless_time(bundles):
    before = time.process_time()
    bundles["all"].explain(noise(0), "x" * 50_000 + " red")
    assert time.process_time() - before < 20  # minutes, where looking for hyphens is quadratic


def test_real_photos(flickr8k: Path, shipped: Bundle):
    rows = [json.loads(line) for line in (flickr8k / "captions.jsonl").open(encoding="utf-8")]
    chosen = [row for row in rows if row["split"] == "test"][:5]
    for row in chosen:
        path, text = flickr8k / "images" / row["image"], row["captions"][0]
        explanation = shipped.explain(path, text)
        check_sums(explanation, shipped.config.weights)
        weights = np.concatenate([word.weights for word in explanation.words])
        assert weights.mean() == pytest.approx(1, abs=0.02)  # int8 weights round a little
