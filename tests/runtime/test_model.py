"""The methods of every model: a checkpoint that torch runs, and a bundle, give the same."""

import io
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

import hgan
from hgan.config import TextConfig, VisionConfig
from hgan.errors import ConfigError, DataError
from hgan.model.baselines.scan import SCANConfig
from hgan.model.io import TrainedModel
from hgan.vision.backbone import grid_boxes
from tests.fixtures.photos import COLOURS, save_photo
from tests.fixtures.tiny_bundle import write_tiny_bundle
from tests.fixtures.tiny_checkpoint import GRID, SIZE, TEXTS
from tests.fixtures.tiny_model import write_tiny_bert


@pytest.fixture(scope="module", params=["torch", "onnx"])
def model(request: pytest.FixtureRequest, checkpoint_and_bundle: tuple[Path, Path]) -> hgan.Model:
    return hgan.load(checkpoint_and_bundle[request.param == "onnx"])


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> hgan.Model:
    """SCAN, which compares photos and texts by cross attention."""
    torch.manual_seed(0)
    trained = TrainedModel.create(
        SCANConfig(width=24),
        VisionConfig("efficientnet-lite2", SIZE, GRID),
        TextConfig(str(write_tiny_bert(tmp_path_factory.mktemp("scan"))), None, None, 1, 16),
        image_width=1280,
        boxes=grid_boxes(GRID),
    )
    trained.network.eval()
    return hgan.HGAN(trained)


@pytest.fixture(scope="module")
def array() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


# --- encoding


def test_both_backends_give_the_same(
    checkpoint_and_bundle: tuple[Path, Path], tmp_path: Path
) -> None:
    files = [save_photo(tmp_path / f"{name}.png", colour) for name, colour in COLOURS.items()]
    found = [hgan.load(folder) for folder in checkpoint_and_bundle]
    photos = [model.encode_image(files) for model in found]
    texts = [model.encode_text(TEXTS) for model in found]
    for one, other in (photos, texts):
        for name in ("context", "slots", "local", "mask", "dense"):
            a, b = getattr(one, name), getattr(other, name)
            assert type(a) is type(b) is np.ndarray
            assert a.dtype == b.dtype == (np.bool_ if name == "mask" else np.float32)
            np.testing.assert_allclose(a, b, atol=1e-4)
    scores = [hgan.similarity(*both) for both in zip(photos, texts, strict=True)]
    assert scores[0].shape == (3, 3) and np.abs(scores[0]).max() > 0.05
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-4)
    explained = [model.explain(files[0], TEXTS[0]) for model in found]
    assert explained[0].score == pytest.approx(explained[1].score, abs=1e-4)
    assert [w.text for w in explained[0].words] == [w.text for w in explained[1].words]
    assert (found[0].dimension, found[0].widths) == (found[1].dimension, found[1].widths)
    assert found[0].weights == found[1].weights
    assert found[0].boxes == found[1].boxes


def test_a_photo_in_every_form(model: hgan.Model, array: np.ndarray, tmp_path: Path) -> None:
    file = tmp_path / "photo.png"
    image = Image.fromarray(array)
    image.save(file)
    forms = [file, str(file), file.read_bytes(), image, image.convert("RGBA"), array]
    expected = model.encode_image(file)
    assert len(expected) == 1 and expected.kind == "photos"
    for form in forms:
        np.testing.assert_allclose(model.encode_image(form).context, expected.context, atol=1e-5)
    for many in (forms, tuple(forms), iter(forms)):
        encoded = model.encode_image(many, batch_size=4)
        assert encoded.context.shape == (6, 24)
        np.testing.assert_allclose(encoded.context, expected.context.repeat(6, 0), atol=1e-5)
    batch = np.stack([array] * 3)
    assert len(model.encode_image(batch)) == 3
    gray = [array[:, :, 0], array[:, :, :1], Image.fromarray(array[:, :, 0])]
    same = model.encode_image(gray).context
    np.testing.assert_allclose(same, same[:1].repeat(3, 0), atol=1e-5)
    for mode in ("1", "P", "CMYK", "I", "F", "LA", "I;16"):
        other = image.convert("L").convert(mode) if mode != "CMYK" else image.convert(mode)
        assert len(model.encode_image(other)) == 1


def test_no_photos_and_no_texts(model: hgan.Model) -> None:
    photos, texts = model.encode_image([]), model.encode_text([])
    assert photos.context.shape == texts.context.shape == (0, 24)
    assert (len(photos), photos.dense.shape) == (0, (0, model.dimension))
    some = model.encode_text("a red dog")
    assert hgan.similarity(photos, some).shape == (0, 1)
    assert hgan.similarity(model.encode_image(np.zeros((9, 9, 3), np.uint8)), texts).shape == (1, 0)


@pytest.mark.parametrize(
    ("photo", "message"),
    [
        (np.zeros((3, 40, 60), np.uint8), "channels last"),
        (np.zeros((40, 60, 3)), "not float64"),
        (np.zeros((40, 60, 5), np.uint8), r"\(40, 60, 5\)"),
        (np.zeros(7, np.uint8), r"\(7,\)"),
        (np.zeros((0, 7), np.uint8), r"\(0, 7\)"),
        (3, "int is not a photo"),
        (None, "NoneType is not a photo"),
        ({"a": 1}, "dict is not a photo"),
        ("nowhere.jpg", r"nowhere\.jpg: no such file"),
        ("https://example.org/a.jpg", "download the photo"),
        (b"", "photo"),
    ],
)
def test_what_is_not_a_photo(model: hgan.Model, array, photo, message) -> None:
    with pytest.raises(DataError, match=message):
        model.encode_image(photo)
    with pytest.raises(DataError, match=f"photo 1: .*{message}"):
        model.encode_image([array, photo, array])


def test_a_torch_tensor_is_not_a_photo(model: hgan.Model) -> None:
    with pytest.raises(DataError, match="torch tensor"):
        model.encode_image([torch.zeros(3, 40, 60)])


def test_one_sentence_is_one_sentence(model: hgan.Model) -> None:
    one = model.encode_text("red dog")
    assert (len(one), one.kind) == (1, "texts")
    for many in (["red dog"], ("red dog",), iter(["red dog"]), np.array(["red dog"])):
        np.testing.assert_allclose(model.encode_text(many).context, one.context, atol=1e-6)
    assert model.encode_texts("red dog").context.shape == (1, 24)


def test_texts_keep_their_order_whatever_the_batch(model: hgan.Model) -> None:
    texts = TEXTS * 3
    expected = np.concatenate([model.encode_text(text).context for text in texts])
    for batch_size in (1, 4, 100):
        found = model.encode_text(texts, batch_size=batch_size)
        np.testing.assert_allclose(found.context, expected, atol=1e-5)
    for encode in (model.encode_text, model.encode_image):
        with pytest.raises(DataError, match="batch_size"):
            encode([], batch_size=0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no words"),
        ([""], "no words"),
        (b"dog", r"not bytes; decode it first"),
        (["dog", b"dog"], r"text 1 of 2 is bytes, not str"),
        (3, "not int"),
        (None, "not NoneType"),
        (["dog", None], "text 1 of 2 is NoneType"),
    ],
)
def test_what_is_not_a_text(model: hgan.Model, text, message) -> None:
    with pytest.raises(DataError, match=message):
        model.encode_text(text)


def test_the_batch_interface_names_the_other_one(model: hgan.Model, array: np.ndarray) -> None:
    for pixels in ([Image.fromarray(array)], [array], [array.astype(float)]):
        with pytest.raises(DataError, match="encode_image takes"):
            model.encode_images(pixels)


# --- comparing


def test_similarity_by_level(model: hgan.Model, array: np.ndarray) -> None:
    photos = model.encode_image([array, array[:20], 255 - array])
    texts = model.encode_text(TEXTS[:2])
    total = hgan.similarity(photos, texts)
    assert total.shape == (3, 2) and total.dtype == np.float32
    scores = model.similarity(photos, texts, levels=True)
    assert set(scores.levels) == set(model.levels)
    weights = model.weights or {}
    summed = sum(weights[name] * values for name, values in scores.levels.items())
    np.testing.assert_allclose(scores.total, summed, atol=1e-6)
    np.testing.assert_allclose(scores.total, total, atol=1e-6)
    dense = sum(weights[name] * scores.levels[name] for name in ("context", "shared"))
    np.testing.assert_allclose(photos.dense @ texts.dense.T, dense, atol=1e-5)
    assert model.explain(array, TEXTS[0]).score == pytest.approx(total[0, 0], abs=1e-5)


def test_rows_of_embeddings(model: hgan.Model, array: np.ndarray) -> None:
    photos, texts = model.encode_image([array, 255 - array]), model.encode_text(TEXTS)
    total = hgan.similarity(photos, texts)
    np.testing.assert_allclose(hgan.similarity(photos[1], texts[-1]), total[1:, -1:], atol=1e-6)
    np.testing.assert_allclose(hgan.similarity(photos, texts[[2, 0]]), total[:, [2, 0]], atol=1e-6)
    assert len(texts[1:]) == 2 and len(list(texts)) == 3
    with pytest.raises(IndexError):
        texts[3]
    again = pickle.loads(pickle.dumps(photos))
    np.testing.assert_array_equal(hgan.similarity(again, texts), total)


def test_what_cannot_be_compared(
    checkpoint_and_bundle, model: hgan.Model, array: np.ndarray
) -> None:
    photos, texts = model.encode_image(array), model.encode_text("cat")
    with pytest.raises(DataError, match="photos first"):
        hgan.similarity(texts, photos)
    for photo, text in ((array, texts), (photos, "cat")):
        with pytest.raises(DataError, match="compares embeddings"):
            hgan.similarity(photo, text)
    other = hgan.load(checkpoint_and_bundle[isinstance(model, hgan.HGAN)])
    with pytest.raises(DataError, match="two models cannot be compared"):
        hgan.similarity(photos, other.encode_text("cat"))


def test_photos_are_compared_as_a_search_by_photo_does(tmp_path: Path, photos: Path) -> None:
    bundle = hgan.load(write_tiny_bundle(tmp_path / "tiny"))
    assert isinstance(bundle, hgan.Bundle)
    (tmp_path / "texts.txt").write_text("a red dog\nblue snow\n")
    hgan.index_folder(photos, tmp_path / "photos.index", bundle)
    hgan.index_texts(tmp_path / "texts.txt", tmp_path / "texts.index", bundle)
    query = photos / "red 0.png"
    with hgan.open_index(tmp_path / "photos.index", bundle) as index:
        hits = index.search_image(query, 20)
        files = [hit.path for hit in hits]
    encoded = bundle.encode_image(files)
    scores = hgan.similarity(encoded, bundle.encode_image(query))[:, 0]
    np.testing.assert_allclose([hit.score for hit in hits], scores, atol=5e-3)
    with hgan.open_index(tmp_path / "texts.index", bundle) as index:
        hits = index.search("two dogs", 2)
    texts = bundle.encode_text([hit.text for hit in hits])
    scores = hgan.similarity(texts, bundle.encode_text("two dogs"))[:, 0]
    np.testing.assert_allclose([hit.score for hit in hits], scores, atol=5e-3)


def test_a_method_that_compares_pairs_itself(baseline: hgan.Model, array: np.ndarray) -> None:
    photos, texts = baseline.encode_image([array, 255 - array]), baseline.encode_text(TEXTS)
    scores = baseline.similarity(photos, texts, levels=True)
    assert scores.total.shape == (2, 3) and np.ptp(scores.total) > 0
    one = baseline.similarity(photos[1], texts[2])
    np.testing.assert_allclose(one, scores.total[1:, 2:], atol=1e-5)
    with pytest.raises(DataError, match=r"model\.similarity"):
        hgan.similarity(photos, texts)
    with pytest.raises(DataError, match=r"model\.similarity"):
        _ = photos.dense
    with pytest.raises(ConfigError, match="only HGAN"):
        baseline.explain(array, "cat")
    with pytest.raises(DataError, match="photos with texts"):
        baseline.similarity(photos, photos)


def test_precomputed_features_cannot_read_photos(
    checkpoint_and_bundle: tuple[Path, Path], array
) -> None:
    model = hgan.HGAN.from_pretrained(checkpoint_and_bundle[0])
    model.trained.vision = replace(model.trained.vision, backbone="precomputed")
    assert len(model.encode_text(TEXTS)) == 3
    with pytest.raises(ConfigError, match="precomputed features"):
        model.encode_image(array)


# --- explaining


def test_explain(model: hgan.Model, array: np.ndarray) -> None:
    found = hgan.explain(array, "a red dog", model)
    assert found.score == pytest.approx(model.explain(array, "a red dog").score, abs=1e-6)
    again = hgan.Explanation.from_dict(found.as_dict())
    assert again.as_dict() == found.as_dict()
    with pytest.raises(DataError, match="one text"):
        model.explain(array, ["a", "b"])  # type: ignore[arg-type]
    with pytest.raises(DataError, match="one photo"):
        model.explain([array, array], "a")  # type: ignore[arg-type]


def test_progress_bar(model: hgan.Model, array, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=100)
    monkeypatch.setattr("hgan.progress.console", screen)
    model.encode_text(["a dog"] * 64)
    model.encode_image([array] * 3)
    assert screen.file.getvalue() == ""  # type: ignore[attr-defined]
    model.encode_text(["a dog"] * 65, progress=False)
    assert screen.file.getvalue() == ""  # type: ignore[attr-defined]
    model.encode_image(iter([array] * 3), progress=True)
    model.encode_text(["a dog"] * 65)
    shown = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "3/?" in shown and "65/65" in shown
