"""Exported bundles give the checkpoint's results; compact ones are smaller and nearly equal."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.nn import functional as F  # noqa: N812

import hgan
from hgan.data.batches.tokens import pad, tokenise
from hgan.data.batches.types import ImageBatch
from hgan.encoded import Encoded
from hgan.errors import ConfigError
from hgan.export.bundle import ImageNetwork, export
from hgan.export.compact import compact
from hgan.export.distill import distill_pretrained
from hgan.model.io import load_checkpoint
from hgan.runtime.bundle import Bundle
from hgan.runtime.embeddings import Embeddings
from hgan.runtime.model import Model
from hgan.runtime.similarity import Scores
from hgan.vision.load import load_backbone
from hgan.vision.onnx_export import export_onnx
from tests.fixtures.tiny_checkpoint import GRID, SIZE, TEXTS, save_model
from tests.fixtures.tiny_model import LETTERS

BLOCKS = 2
CONVOLUTIONS = 64
"""Of EfficientNet-Lite2: 3 in each of 21 blocks, but 2 in the first; one before and one after."""


def encode_with_torch(checkpoint: Path, pixels: np.ndarray) -> tuple[Encoded, Encoded]:
    model = load_checkpoint(checkpoint)
    backbone = load_backbone("efficientnet-lite2", GRID, SIZE).eval()
    with torch.inference_mode():
        regions, context, _ = backbone(torch.from_numpy(pixels))
        mask = torch.ones(regions.shape[:2], dtype=torch.bool)
        boxes = torch.from_numpy(model.boxes)
        images = model.network.encode_image(ImageBatch(regions, context, mask, boxes))
        texts = model.network.encode_text(pad(tokenise(model.tokenizer, TEXTS, 16)))
    return images, texts


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)


def test_a_bundle_holds_no_path_of_the_machine_that_made_it(exported: tuple[Path, ...]) -> None:
    source = str(Path(hgan.__file__).parent).encode()
    for name in ("image.onnx", "text.onnx"):
        assert source not in (exported[1] / name).read_bytes(), name


@pytest.mark.parametrize(("which", "tolerance"), [(1, 1e-5), (2, 5e-2)])
def test_bundle_equals_checkpoint(
    exported: tuple[Path, ...], pixels: np.ndarray, which: int, tolerance: float
) -> None:
    bundle = Bundle.load(exported[which])
    pairs = zip(
        encode_with_torch(exported[0], pixels),
        (bundle.encode_images(pixels), bundle.encode_texts(TEXTS)),
        strict=True,
    )
    for expected, found in pairs:
        for name in ("context", "slots", "local"):
            values = getattr(expected, name).numpy()
            assert np.abs(values).max() > 0.1
            np.testing.assert_allclose(getattr(found, name), values, atol=tolerance)
        np.testing.assert_array_equal(found.mask, expected.mask.numpy())


def test_text_does_not_depend_on_its_batch(exported: tuple[Path, ...]) -> None:
    bundle = Bundle.load(exported[1])
    together, alone = bundle.encode_texts(TEXTS), bundle.encode_texts(TEXTS[1:2])
    np.testing.assert_allclose(together.context[1], alone.context[0], atol=1e-5)
    np.testing.assert_allclose(together.slots[1], alone.slots[0], atol=1e-5)


def test_compact_is_smaller(exported: tuple[Path, ...]) -> None:
    size = {folder: (folder / "image.onnx").stat().st_size for folder in exported[1:]}
    assert size[exported[2]] < 0.6 * size[exported[1]]


def test_config_names_weights_and_widths(exported: tuple[Path, ...]) -> None:
    config = json.loads((exported[1] / "config.json").read_text())
    weights = load_checkpoint(exported[0]).network.weights
    assert config["weights"] == weights
    assert config["widths"] == {"context": 24, "slots": 2, "slot": 8, "local": 8}
    assert "EfficientNet-Lite weights" in (exported[1] / "README.md").read_text()


def test_a_kill_while_exporting_leaves_the_old_bundle(
    exported: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    before = {path.name: path.read_bytes() for path in exported[1].iterdir()}
    monkeypatch.setattr("hgan.export.write.export_onnx", killed)
    with pytest.raises(KeyboardInterrupt):
        export(exported[0], exported[1])
    assert {path.name: path.read_bytes() for path in exported[1].iterdir()} == before


@pytest.fixture(scope="module")
def prior_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with a semantic prior and trained blocks."""
    folder = tmp_path_factory.mktemp("prior")
    return save_model(folder, ["context", "shared", "local"], prior=True, blocks=BLOCKS)


@pytest.fixture(scope="module")
def with_prior(prior_checkpoint: Path) -> tuple[Path, Path]:
    """The same checkpoint and its bundle."""
    return prior_checkpoint, export(prior_checkpoint, prior_checkpoint.parent / "bundle")


@pytest.mark.slow
def test_a_bundle_with_prior_and_trainable_layers_scores_as_its_checkpoint(
    with_prior: tuple[Path, Path], flickr8k: Path
) -> None:
    photos = sorted((flickr8k / "images").glob("*.jpg"))[:4]
    models = hgan.HGAN.from_pretrained(with_prior[0]), Bundle.load(with_prior[1])
    assert models[1].widths == {"context": 24 + 16, "slots": 2, "slot": 8, "local": 8 + 6}
    (expected, scores), (found, own) = (_scores(model, photos) for model in models)
    for kind in (0, 1):
        for name in ("context", "slots", "local"):
            values = getattr(expected[kind], name)
            assert np.abs(values).max() > 0.1
            np.testing.assert_allclose(getattr(found[kind], name), values, atol=3e-5)
    for name, values in scores.levels.items():
        assert np.ptp(values) > 1e-3, name
        np.testing.assert_allclose(own.levels[name], values, atol=1e-5)
    np.testing.assert_allclose(own.total, scores.total, atol=1e-5)


def _scores(model: Model, photos: list[Path]) -> tuple[tuple[Embeddings, Embeddings], Scores]:
    encoded = model.encode_image(photos), model.encode_text(TEXTS)
    return encoded, model.similarity(*encoded, levels=True)


def test_a_linear_map_replaces_the_pretrained_text_layers(prior_checkpoint: Path) -> None:
    """The trained layer of this checkpoint differs little from the pretrained one."""
    kept = load_checkpoint(prior_checkpoint)
    fitted = load_checkpoint(prior_checkpoint)
    texts = [f"{a} {b} {c}" for a in ("a", "the") for b in LETTERS for c in ("dog", "cat", "snow")]
    cosine = distill_pretrained(fitted.network.text, fitted.tokenizer, texts, 16)
    assert cosine > 0.95
    tokens = pad(tokenise(kept.tokenizer, TEXTS, 16))
    with torch.inference_mode():
        expected, found = (m.network.encode_text(tokens) for m in (kept, fitted))
        unfitted = torch.nn.Linear(3 * 32, 32)  # embeddings and two layers
        fitted.network.text.replace_pretrained(unfitted)
        random = fitted.network.encode_text(tokens)
    prior = slice(24, 40)
    expected, found, random = (x.context[:, prior] for x in (expected, found, random))
    assert F.cosine_similarity(found, expected).min() > 0.9
    by_chance = F.cosine_similarity(random, expected)
    assert (F.cosine_similarity(found, expected) > by_chance).all()
    assert not [name for name in fitted.network.state_dict() if name.startswith("text.pretrained.")]


@pytest.mark.slow
def test_frozen_layers_are_computed_once_for_both_encoders(with_prior: tuple[Path, Path]) -> None:
    encoder = load_checkpoint(with_prior[0]).network.text
    lower, upper = encoder.transformer.encoder.layer
    kept = encoder.pretrained[0]
    for layer in (lower, upper, kept):
        assert _uses(with_prior[1] / "text.onnx", layer.attention.self.query.weight) == 1
    words = encoder.transformer.embeddings.word_embeddings.weight
    assert _uses(with_prior[1] / "text.onnx", words) == 1


def _uses(path: Path, weight: torch.Tensor) -> int:
    """How often a graph uses a weight or its transpose."""
    graph = onnx.load(path).graph
    values = weight.detach().numpy()
    names = set()
    for initializer in graph.initializer:
        found = numpy_helper.to_array(initializer)
        if np.array_equal(found, values) or np.array_equal(found, values.T):
            names.add(initializer.name)
    return sum(name in names for node in graph.node for name in node.input)


@pytest.mark.slow
def test_the_graph_has_the_trainable_layers_beside_the_frozen_ones(
    with_prior: tuple[Path, Path],
) -> None:
    assert _convolutions(with_prior[1] / "image.onnx") == CONVOLUTIONS + 3 * BLOCKS + 1


@pytest.mark.slow
def test_without_prior_the_graph_has_only_the_trainable_layers(tmp_path: Path) -> None:
    model = load_checkpoint(save_model(tmp_path, ["context"], blocks=BLOCKS))
    backbone = load_backbone("efficientnet-lite2", GRID, SIZE, BLOCKS)
    network = ImageNetwork(backbone, model.network, torch.from_numpy(model.boxes))
    pixels = torch.zeros(2, SIZE, SIZE, 3, dtype=torch.uint8)
    model.network.image_tower.freeze_pooling(GRID**2)
    outputs = ["context", "slots", "local"]
    path = tmp_path / "image.onnx"
    export_onnx(network, {"pixels": pixels}, {"pixels": ("batch",)}, outputs, path)
    assert _convolutions(path) == CONVOLUTIONS


def _convolutions(path: Path) -> int:
    return sum(node.op_type == "Conv" for node in onnx.load(path).graph.node)


@pytest.mark.slow
def test_context_alone_can_be_exported(tmp_path: Path, pixels: np.ndarray) -> None:
    checkpoint = save_model(tmp_path, ["context"])
    bundle = Bundle.load(export(checkpoint, tmp_path / "bundle"))
    images, _ = encode_with_torch(checkpoint, pixels)
    found = bundle.encode_images(pixels)
    np.testing.assert_allclose(found.context, images.context.numpy(), atol=1e-4)
    assert found.local.shape[2] == 0
    assert bundle.encode_texts(TEXTS).slots.shape == (3, 0, 0)


def test_a_bundle_needs_the_context_level(tmp_path: Path) -> None:
    checkpoint = save_model(tmp_path, ["local"])
    with pytest.raises(ConfigError, match="context level"):
        export(checkpoint, tmp_path / "bundle")


def test_other_regions_than_those_of_the_settings_are_refused(tmp_path: Path) -> None:
    checkpoint = save_model(tmp_path, ["context"], grid=3)
    with pytest.raises(ConfigError, match=r"9 regions a photo, but .* vision\.grid 2, .* gives 4"):
        export(checkpoint, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_compact_keeps_small_weights_and_bounds_the_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = {
        "matrix": rng.normal(size=(64, 128)).astype(np.float32),
        "zero_row": np.vstack([np.zeros((1, 128)), rng.normal(size=(63, 128))]).astype(np.float32),
        "bias": rng.normal(size=128).astype(np.float32),
        "kernel": rng.normal(size=(16, 16, 5, 5)).astype(np.float32),
        "first": rng.normal(size=(128, 128, 1, 1)).astype(np.float32),
        "pointwise": (
            rng.normal(size=(256, 128, 1, 1)) * np.arange(256)[:, None, None, None]
        ).astype(np.float32),
    }
    graph = helper.make_graph(
        [helper.make_node("Identity", [name], [f"out_{name}"]) for name in weights],
        "weights",
        [],
        [
            helper.make_tensor_value_info(f"out_{name}", TensorProto.FLOAT, list(value.shape))
            for name, value in weights.items()
        ],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    path = tmp_path / "weights.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)
    compact(path)
    onnx.checker.check_model(onnx.load(path))
    import onnxruntime

    found = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {})
    restored = dict(zip(weights, found, strict=True))
    np.testing.assert_array_equal(restored["bias"], weights["bias"])
    np.testing.assert_array_equal(restored["zero_row"][0], 0)
    for name in ("kernel", "first"):
        np.testing.assert_allclose(restored[name], weights[name], rtol=1e-3, atol=1e-6)
    step = np.abs(weights["matrix"]).max() / 127
    assert 0 < np.abs(restored["matrix"] - weights["matrix"]).max() <= step / 2 + 1e-6
    kinds = {weight.name: weight.data_type for weight in onnx.load(path).graph.initializer}
    assert kinds["pointwise.int8"] == TensorProto.INT8
    steps = np.abs(weights["pointwise"]).max(axis=(1, 2, 3), keepdims=True) / 127  # by output
    assert (np.abs(restored["pointwise"] - weights["pointwise"]) <= steps / 2 + 1e-4).all()
