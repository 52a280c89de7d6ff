"""Bundles: their encodings, and the errors of damaged or newer ones."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image
from tokenizers import Tokenizer

from hgan.errors import BundleError, DataError
from hgan.files import sha256
from hgan.runtime.bundle import Bundle
from hgan.runtime.bundle_config import FORMAT_VERSION
from hgan.runtime.preprocessing import Preprocessing
from hgan.runtime.similarity import score_levels
from tests.fixtures.tiny_bundle import (
    COLOURS,
    CONTEXT_ONLY,
    MAX_WORDS,
    SIZE,
    WEIGHTS,
    edit_config,
    write_tiny_bundle,
)

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_bundle(tmp_path / "bundle")


def plain(*colours: tuple[int, int, int]) -> list[np.ndarray]:
    return [np.full((SIZE, SIZE, 3), colour, np.uint8) for colour in colours]


def test_photos_and_texts_meet(folder):
    bundle = Bundle.load(folder)
    photos = bundle.encode_images(plain(RED, GREEN, BLUE))
    texts = bundle.encode_texts(["a red photo", "a green photo", "a blue photo"])
    total = score_levels(photos, texts, bundle.config.weights).total
    assert total.argmax(axis=1).tolist() == [0, 1, 2]
    assert bundle.config.weights == WEIGHTS
    assert set(COLOURS) >= {"red", "green", "blue"}


def test_rows_are_unit_and_only_words_are_real(folder):
    encoded = Bundle.load(folder).encode_texts(["red dog", "a photo of the red dog in snow"])
    assert encoded.mask.sum(axis=1).tolist() == [2, 8]
    np.testing.assert_allclose(np.linalg.norm(encoded.context, axis=-1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(encoded.slots, axis=-1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(encoded.local, axis=-1), encoded.mask, atol=1e-5)


def test_batches_inside_change_nothing(folder):
    bundle = Bundle.load(folder)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (19, SIZE, SIZE, 3), np.uint8)
    together = bundle.encode_images(pixels)
    assert together.local.shape == (19, 4, 8)
    assert together.mask.all()
    for row in (0, 8, 18):
        alone = bundle.encode_images(pixels[row : row + 1])
        np.testing.assert_allclose(alone.context[0], together.context[row], atol=1e-5)
        np.testing.assert_allclose(alone.local[0], together.local[row], atol=1e-5)
    texts = [" ".join(["red"] * (1 + i % 9)) for i in range(70)]
    many = bundle.encode_texts(texts)
    assert many.mask.sum(axis=1).tolist() == [1 + i % 9 for i in range(70)]
    alone = bundle.encode_texts(texts[40:41])
    np.testing.assert_allclose(alone.slots[0], many.slots[40], atol=1e-5)


def test_nothing_to_encode(folder):
    bundle = Bundle.load(folder)
    assert bundle.encode_images([]).context.shape == (0, 16)
    assert bundle.encode_texts([]).slots.shape == (0, 2, 6)


def test_long_text_is_cut(folder):
    bundle = Bundle.load(folder)
    long = bundle.encode_texts(["red " * 10_000])
    assert long.mask.shape == (1, bundle.config.max_words)
    assert long.mask.sum() == bundle.config.max_words - 2


@pytest.mark.parametrize(
    "text", ["🐕🐕 ❄️", "雪の中の犬", "собака", "\x00red", "red\ud800", "e\u0301"]
)
def test_any_script_is_a_text(folder, text):
    encoded = Bundle.load(folder).encode_texts([text])
    assert encoded.mask.any()
    assert np.isfinite(encoded.context).all()


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "\u200b"])
def test_text_without_words(folder, text):
    with pytest.raises(DataError, match="no words"):
        Bundle.load(folder).encode_texts(["red", text])


@pytest.mark.parametrize("level", ["context", "shared", "local"])
def test_model_of_one_level(tmp_path, level):
    weights = {name: float(name == level) for name in ("context", "shared", "local")}
    bundle = Bundle.load(write_tiny_bundle(tmp_path / "one", weights=weights))
    photos, texts = bundle.encode_images(plain(RED, BLUE)), bundle.encode_texts(["red", "blue"])
    total = score_levels(photos, texts, weights).total
    assert total.argmax(axis=1).tolist() == [0, 1]
    assert photos.slots.shape == ((2, 2, 6) if level == "shared" else (2, 0, 0))


def test_id_follows_the_content(tmp_path):
    one = write_tiny_bundle(tmp_path / "one")
    same = write_tiny_bundle(tmp_path / "same")
    other = write_tiny_bundle(tmp_path / "other", seed=1)
    assert Bundle.load(one).id == Bundle.load(same).id != Bundle.load(other).id


def test_text_alone_does_not_open_the_image_tower(folder):
    bundle = Bundle.load(folder)
    (folder / "image.onnx").write_bytes(b"damaged")
    assert bundle.encode_texts(["red"]).context.shape == (1, 16)
    with pytest.raises(BundleError, match=r"image\.onnx"):
        bundle.encode_images(plain(RED))


def test_missing(tmp_path):
    with pytest.raises(BundleError, match="no model bundle here"):
        Bundle.load(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["image.onnx", "text.onnx", "tokenizer.json"])
def test_a_file_that_is_missing_is_known_at_once(folder, name):
    (folder / name).unlink()
    with pytest.raises(BundleError, match=f"{name}: is missing"):
        Bundle.load(folder)


def test_newer_version(folder):
    edit_config(folder, format_version=FORMAT_VERSION + 1)
    with pytest.raises(BundleError, match="upgrade"):
        Bundle.load(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"weights": {"context": 1.0}},
        {"weights": {"context": 1.0, "shared": 0.5, "local": 0.2}},
        {"weights": {"context": 2.0, "shared": -1.0, "local": 0.0}},
        {"weights": None},
        {"widths": {"context": 16, "slots": 0, "slot": 0, "local": 8}},
        {"files": {}},
        {"boxes": [1, 2, 3, 4]},
        {"size": "big"},
        {"max_words": 2},
        {"format_version": "one"},
        {"surprise": 1},
        {"preprocessing": {"fit": "stretch"}},
        {"preprocessing": {"fit": "crop", "shorter_side": 10**9}},
        {"preprocessing": "squash"},
        {"languages": [3]},
        {"languages": ["en"] * 1000},
        {"logits": {"scale": 1.0}},
        {"logits": {"scale": float("nan"), "bias": 0.0}},
        {"patches": {"model": "CLIP", "side": 4, "pixels": 4}},  # without the network
    ],
)
def test_wrong_field(folder, change):
    edit_config(folder, **change)
    with pytest.raises(BundleError, match=r"config\.json"):
        Bundle.load(folder)


@pytest.mark.parametrize(
    "patches",
    [
        None,
        [],
        {"model": "CLIP", "side": 4},
        {"model": "CLIP", "side": 5, "pixels": 4},  # more than the square has
        {"model": "CLIP", "side": 0, "pixels": 4},
        {"model": "CLIP", "side": 10**9, "pixels": 1},
        {"model": "CLIP", "side": 4, "pixels": "4"},
        {"model": "CLIP\x1b[31m", "side": 4, "pixels": -1},
        {"model": "x" * 101, "side": 4, "pixels": 4},
        {"model": None, "side": 4, "pixels": 4},
        {"model": "CLIP", "side": 4, "pixels": 4, "more": 1},
    ],
)
def test_wrong_patches(tmp_path, patches):
    folder = write_tiny_bundle(tmp_path / "bundle", weights=CONTEXT_ONLY, patches=True)
    edit_config(folder, patches=patches)
    with pytest.raises(BundleError, match=r"config\.json"):
        Bundle.load(folder)


def test_patches_are_checked_where_they_are_computed(tmp_path):
    folder = write_tiny_bundle(tmp_path / "bundle", weights=CONTEXT_ONLY, patches=True)
    edit_config(folder, patches={"model": "Tiny", "side": 3, "pixels": 4})
    with pytest.raises(BundleError, match=r"patches are \(16, 16\), not \(9, 16\)"):
        Bundle.load(folder).encode_with_patches(plain(RED)[0])
    bundle = Bundle.load(folder)
    (folder / "patches.onnx").write_bytes(b"damaged")
    with pytest.raises(BundleError, match=r"patches\.onnx: damaged"):
        Bundle.load(folder)
    assert bundle.encode_images(plain(RED)).context.shape == (1, 16)  # indexing does not need it
    with pytest.raises(BundleError, match=r"patches\.onnx: not a model"):
        bundle.explain(plain(RED)[0], "red")


def test_an_image_tower_without_states_has_no_patches(tmp_path):
    folder = write_tiny_bundle(tmp_path / "bundle", weights=CONTEXT_ONLY, patches=True)
    other = write_tiny_bundle(tmp_path / "other", weights=CONTEXT_ONLY)
    shutil.copy(other / "image.onnx", folder)
    _sign(folder)
    with pytest.raises(BundleError, match="no output states"):
        Bundle.load(folder).encode_images(plain(RED))


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b"{}", b"null"])
def test_config_that_is_none(folder, content):
    (folder / "config.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"config\.json"):
        Bundle.load(folder)


@pytest.mark.parametrize("name", ["image.onnx", "text.onnx", "tokenizer.json"])
def test_damaged_file(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(BundleError, match=f"{name}: damaged"):
        _encode_both(Bundle.load(folder))


@pytest.mark.parametrize("name", ["image.onnx", "text.onnx", "tokenizer.json"])
@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x0a" * 500])
def test_corrupt_file_with_a_checksum_that_agrees(folder, name, content):
    (folder / name).write_bytes(content)
    _sign(folder)
    with pytest.raises(BundleError, match=name):
        _encode_both(Bundle.load(folder))


def test_models_of_other_widths(folder, tmp_path):
    wide = write_tiny_bundle(tmp_path / "wide", context=20)
    shutil.copy(wide / "image.onnx", folder)
    _sign(folder)
    with pytest.raises(BundleError, match="widths"):
        Bundle.load(folder).encode_images(plain(RED))


def test_model_without_an_output(folder):
    model = onnx.load(folder / "text.onnx")
    kept = [output for output in model.graph.output if output.name != "local_mask"]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    onnx.save(model, folder / "text.onnx")
    _sign(folder)
    with pytest.raises(BundleError, match="no output local_mask"):
        Bundle.load(folder).encode_texts(["red"])


def test_preprocessing_and_languages_are_read(folder):
    preprocessing = {"fit": "crop", "filter": "bilinear", "shorter_side": 20}
    logits = {"scale": 10.0, "bias": -5.0}
    edit_config(folder, preprocessing=preprocessing, languages=["en", "de"], logits=logits)
    bundle = Bundle.load(folder)
    assert bundle.preprocessing == Preprocessing(SIZE, "crop", "bilinear", 20)
    assert bundle.languages == ("en", "de")
    assert bundle.logits == logits
    wide = Image.fromarray(
        np.concatenate([np.full((20, 30, 3), colour, np.uint8) for colour in (RED, BLUE, RED)], 1)
    )
    found = bundle.encode_image(wide).context  # only the blue middle is seen
    np.testing.assert_allclose(found, bundle.encode_images(plain(BLUE)).context, atol=1e-6)


def test_version_1_squashes(folder):
    assert json.loads((folder / "config.json").read_text())["format_version"] == 1
    bundle = Bundle.load(folder)
    assert bundle.preprocessing == Preprocessing(SIZE)
    assert (bundle.languages, bundle.logits) == ((), None)


def _pad(folder: Path, **padding: Any) -> None:
    """Let the tokenizer of a bundle pad texts, as that of SigLIP does."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding(**padding)
    tokenizer.save(str(folder / "tokenizer.json"))
    _sign(folder)


def test_padding_of_the_tokenizer_is_kept(folder):
    unpadded = Bundle.load(folder).encode_texts(["red dog"])
    _pad(folder, length=MAX_WORDS, pad_id=3, pad_token="[UNK]", direction="left")
    bundle = Bundle.load(folder)
    [[short, long], _] = bundle.ids(["red dog", "red " * 100])
    assert len(short) == MAX_WORDS and set(short[:8]) == {3} and 3 not in short[8:]
    assert len(long) == MAX_WORDS and 3 not in long
    found = bundle.encode_texts(["red dog", "a photo of a red dog", "red " * 100])
    assert found.mask.shape == (3, MAX_WORDS)
    np.testing.assert_allclose(found.context[:1], unpadded.context, atol=1e-6)
    with pytest.raises(DataError, match="no words"):
        bundle.encode_texts(["  "])


@pytest.mark.parametrize("length", [MAX_WORDS - 1, 10**9])
def test_padding_to_another_length_is_refused(folder, length):
    """A file could ask for so much padding that the memory is full."""
    _pad(folder, length=length)
    with pytest.raises(BundleError, match=f"pads texts to {length} tokens, but must pad to 12"):
        Bundle.load(folder).encode_texts(["red"])


def _encode_both(bundle: Bundle) -> None:
    bundle.encode_images(plain(RED))
    bundle.encode_texts(["red"])


def _sign(folder: Path) -> None:
    files = json.loads((folder / "config.json").read_text())["files"]
    edit_config(folder, files={name: sha256(folder / name) for name in files})
