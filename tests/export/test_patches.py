"""Vectors of patches equal those of a forward pass in plain NumPy, on the weights of the model."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import transformers as hf
from PIL import Image

from hgan.errors import ConfigError
from hgan.export.dual_encoder import export_dual_encoder
from hgan.export.patches import encode_with_states
from hgan.hub import HubModel
from hgan.runtime.bundle import Bundle
from hgan.runtime.patches import PatchGrid
from tests.fixtures.dual_encoders import (
    MODELS,
    PATCH,
    SIZE,
    TEXTS,
    own_features,
    write_dual_encoder,
)
from tests.fixtures.scenes import draw_scene

pytestmark = pytest.mark.slow

Weights = dict[str, np.ndarray]
SIDE = SIZE // PATCH
TITLES = {"clip": "CLIP", "siglip": "SigLIP", "altclip": "AltCLIP"}
NAMES = [name for name in MODELS if name in TITLES]
PHOTO = draw_scene(3).resize((120, 90))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Bundle]]:
    """The folder of a model and its bundle, both made once."""
    root = tmp_path_factory.mktemp("patches")
    made: dict[str, tuple[Path, Bundle]] = {}

    def get(name: str) -> tuple[Path, Bundle]:
        if name not in made:
            write_dual_encoder(name, root / name)
            bundle = export_dual_encoder(HubModel.find(root / name), root / f"{name} bundle")
            made[name] = root / name, Bundle.load(bundle)
        return made[name]

    return get


def naive_patches(folder: Path, photo: Image.Image) -> np.ndarray:
    """(P, D): the layers after the last attention, written by hand."""
    model = hf.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    pixels = hf.AutoImageProcessor.from_pretrained(folder)(photo, return_tensors="pt")
    with torch.inference_mode():
        states = model.vision_model(**pixels, output_hidden_states=True)
    weights = {key: value.double().numpy() for key, value in model.state_dict().items()}
    pools = "vision_model.head.probe" in weights
    rows = states.last_hidden_state if pools else states.hidden_states[-2][:, 1:]
    x = rows[0].double().numpy()
    vectors = _siglip(x, weights) if pools else _clip(x, weights)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _clip(x: np.ndarray, weights: Weights) -> np.ndarray:
    last = "vision_model.encoder.layers.1"
    values = _linear(
        _norm(x, weights, f"{last}.layer_norm1", 1e-5), weights, f"{last}.self_attn.v_proj"
    )
    x = x + _linear(values, weights, f"{last}.self_attn.out_proj")
    inside = _linear(_norm(x, weights, f"{last}.layer_norm2", 1e-5), weights, f"{last}.mlp.fc1")
    quick_gelu = inside / (1 + np.exp(-1.702 * inside))
    x = x + _linear(quick_gelu, weights, f"{last}.mlp.fc2")
    pooled = _norm(x, weights, "vision_model.post_layernorm", 1e-5)
    return pooled @ weights["visual_projection.weight"].T


def _siglip(x: np.ndarray, weights: Weights) -> np.ndarray:
    head, width = "vision_model.head", x.shape[1]
    matrix = weights[f"{head}.attention.in_proj_weight"][2 * width :]
    values = x @ matrix.T + weights[f"{head}.attention.in_proj_bias"][2 * width :]
    x = _linear(values, weights, f"{head}.attention.out_proj")
    inside = _linear(_norm(x, weights, f"{head}.layernorm", 1e-6), weights, f"{head}.mlp.fc1")
    tanh_gelu = inside / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (inside + 0.044715 * inside**3)))
    return x + _linear(tanh_gelu, weights, f"{head}.mlp.fc2")


def _norm(x: np.ndarray, weights: Weights, name: str, epsilon: float) -> np.ndarray:
    centred = x - x.mean(axis=1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + epsilon)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _linear(x: np.ndarray, weights: Weights, name: str) -> np.ndarray:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


@pytest.mark.parametrize("name", NAMES)
def test_patches_equal_a_naive_forward_pass(exported, name):
    folder, bundle = exported(name)
    expected = naive_patches(folder, PHOTO)
    assert expected.std(axis=0).mean() > 0.02, "the patches differ"
    encoded, found = bundle.encode_with_patches(bundle.preprocessing.pixels(PHOTO))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert bundle.patches == PatchGrid(TITLES[name], SIDE, PATCH)
    explanation = bundle.explain(PHOTO, TEXTS[0])
    [image], sentences = own_features(folder, [PHOTO], TEXTS)
    np.testing.assert_allclose(explanation.patches.similarity, expected @ sentences[0], atol=1e-4)
    np.testing.assert_allclose(encoded.context[0], image, atol=1e-4)
    assert explanation.score == pytest.approx(float(image @ sentences[0]), abs=1e-4)
    assert len(explanation.boxes) == SIDE**2 and explanation.is_whole


@pytest.mark.parametrize("name", NAMES)
def test_states_are_what_the_last_attention_reads(exported, name):
    """With all of its tokens, the last layer gives the model's own embedding from them."""
    model = hf.AutoModel.from_pretrained(exported(name)[0], attn_implementation="eager").eval()
    values = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    vision = model.vision_model
    with torch.inference_mode():
        embedding, states = encode_with_states(model, values)
        if name == "siglip":
            again = vision.head(states)
        else:
            last = vision.encoder.layers[-1](states, None)[:, 0]
            again = model.visual_projection(vision.post_layernorm(last))
        own = model.get_image_features(pixel_values=values).pooler_output
    torch.testing.assert_close(embedding, own, rtol=0, atol=0)
    torch.testing.assert_close(again, own)
    assert not vision.encoder.layers[-1]._forward_pre_hooks


def test_indexing_does_not_compute_patches(exported, tmp_path):
    """The image tower gives the same bits without its output for the patches, and no more nodes
    are in it."""
    bundle = Bundle.load(exported("clip")[1].folder)
    photos = np.random.default_rng(0).integers(0, 256, (5, SIZE, SIZE, 3), np.uint8)
    with_states = bundle.encode_images(photos).context
    assert "_patch_network" not in vars(bundle), "the network is not opened"
    tower = onnx.load(bundle.folder / "image.onnx")
    nodes = len(tower.graph.node)
    [states] = [output for output in tower.graph.output if output.name == "states"]
    tower.graph.output.remove(states)
    needed = {name for output in tower.graph.output for name in [output.name]}
    for node in reversed(tower.graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            nodes -= 1
    assert nodes == 0, "every node is needed for the vectors of an index"
    session = _session(tower, tmp_path)
    [without] = session.run(["context"], {"pixels": photos})
    np.testing.assert_array_equal(with_states, without)


def _session(model, folder):
    import onnxruntime

    onnx.save(model, folder / "tower.onnx")
    return onnxruntime.InferenceSession(folder / "tower.onnx", providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("name", NAMES)
def test_the_network_of_patches_is_small(exported, name):
    """It has the layers after the attention's values, and neither queries nor keys."""
    folder, bundle = exported(name)
    model = hf.AutoModel.from_pretrained(folder)
    vision = model.vision_model
    last = vision.head if name == "siglip" else vision.encoder.layers[-1]
    width = vision.config.hidden_size
    values = 2 * (width * width + width)  # values and outputs
    kept = values + sum(weight.numel() for weight in last.mlp.parameters())
    size = (bundle.folder / "patches.onnx").stat().st_size
    assert 4 * kept < size < 4 * kept + 12_000


def test_patches_that_do_not_fill_the_square(tmp_path):
    """SigLIP at 384 pixels with patches of 14 has 27 x 27 of them, and 6 pixels more."""
    folder = tmp_path / "model"
    write_dual_encoder("clip", folder)
    config = hf.CLIPConfig.from_pretrained(folder)
    config.vision_config.patch_size = 9
    torch.manual_seed(0)
    hf.CLIPModel(config).eval().save_pretrained(folder)
    bundle = Bundle.load(export_dual_encoder(HubModel.find(folder), tmp_path / "bundle"))
    assert bundle.patches == PatchGrid("CLIP", 3, 9)
    square = PHOTO.resize((SIZE, SIZE))
    explanation = bundle.explain(square, "a dog")
    assert explanation.patches.similarity.shape == (9,)
    boxes = bundle.preprocessing.places(bundle.patches.boxes(SIZE), square)
    np.testing.assert_allclose(explanation.boxes, boxes)
    assert bundle.patches.boxes(SIZE)[-1] == [18 / SIZE, 18 / SIZE, 27 / SIZE, 27 / SIZE]


def test_a_bundle_made_before_has_no_patches(exported, tmp_path):
    """It opens, encodes the same, and says that it has none."""
    _, bundle = exported("clip")
    old = tmp_path / "old"
    old.mkdir()
    for file in bundle.folder.iterdir():
        if file.name != "patches.onnx":
            (old / file.name).write_bytes(file.read_bytes())
    config = json.loads((old / "config.json").read_text())
    del config["patches"], config["files"]["patches.onnx"]
    (old / "config.json").write_text(json.dumps(config))
    before = Bundle.load(old)
    explanation, now = before.explain(PHOTO, TEXTS[0]), bundle.explain(PHOTO, TEXTS[0])
    assert explanation.patches is None and explanation.is_whole
    assert explanation.as_dict()["patches"] is None
    assert explanation.score == now.score
    assert len(explanation.boxes) == 1 and len(now.boxes) == SIDE**2


def test_patches_that_are_exported_wrongly_are_refused(tmp_path, monkeypatch):
    write_dual_encoder("clip", tmp_path / "model")
    right = Bundle.encode_with_patches

    def wrong(self, pixels):
        encoded, patches = right(self, pixels)
        return encoded, patches + 0.01

    monkeypatch.setattr(Bundle, "encode_with_patches", wrong)
    with pytest.raises(ConfigError, match="encodes patches differently from the original, by up"):
        export_dual_encoder(HubModel.find(tmp_path / "model"), tmp_path / "bundle")
