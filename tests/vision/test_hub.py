"""Hub backbones, on tiny models of each class with random weights in a temporary folder."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as hf

from hgan.errors import ConfigError
from hgan.vision.extract import backbone_session
from hgan.vision.hub import HubBackbone
from hgan.vision.load import load_backbone

PATCHES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
TOWER = {**PATCHES, "intermediate_size": 64}
WORDS = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "vocab_size": 50,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
}
STAGES = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}
WINDOWS = {"image_size": 64, "patch_size": 4, "embed_dim": 8, "window_size": 4}
SQUARE = {"size": {"height": 32, "width": 32}}
CROP = {"size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 32}}

Maker = Callable[[], tuple[hf.PreTrainedModel, hf.ImageProcessingMixin]]

MODELS: dict[str, Maker] = {
    "vit": lambda: (hf.ViTModel(hf.ViTConfig(**TOWER)), hf.ViTImageProcessor(**SQUARE)),
    "dinov2": lambda: (
        hf.Dinov2Model(hf.Dinov2Config(**PATCHES, mlp_ratio=2)),
        hf.BitImageProcessor(**CROP),
    ),
    "dinov2 with registers": lambda: (
        hf.Dinov2WithRegistersModel(hf.Dinov2WithRegistersConfig(**PATCHES, mlp_ratio=2)),
        hf.BitImageProcessor(**CROP),
    ),
    "clip": lambda: (
        hf.CLIPModel(hf.CLIPConfig(vision_config=TOWER, text_config=WORDS, projection_dim=16)),
        hf.CLIPImageProcessor(**CROP),
    ),
    "clip, vision alone": lambda: (
        hf.CLIPVisionModel(hf.CLIPVisionConfig(**TOWER)),
        hf.CLIPImageProcessor(**CROP),
    ),
    "siglip": lambda: (
        hf.SiglipModel(hf.SiglipConfig(vision_config=TOWER, text_config=WORDS)),
        hf.SiglipImageProcessor(**SQUARE),
    ),
    "convnext": lambda: (
        hf.ConvNextModel(hf.ConvNextConfig(**STAGES)),
        hf.ConvNextImageProcessor(size={"shortest_edge": 64}),
    ),
    "resnet": lambda: (
        hf.ResNetModel(hf.ResNetConfig(**STAGES, embedding_size=8, layer_type="basic")),
        hf.ConvNextImageProcessor(size={"shortest_edge": 64}),
    ),
    "swin": lambda: (
        hf.SwinModel(hf.SwinConfig(**WINDOWS, depths=[1, 1, 1], num_heads=[1, 2, 2])),
        hf.ViTImageProcessor(size={"height": 64, "width": 64}),
    ),
}
SIDES = {"convnext": 2, "resnet": 2}
"""Sides of feature maps; all others have 4."""


def save(name: str, folder: Path) -> hf.PreTrainedModel:
    torch.manual_seed(0)
    model, processor = MODELS[name]()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return model.eval()


def photos(count: int, size: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, size, size, 3), dtype=torch.uint8, generator=rng)


@pytest.mark.parametrize("name", MODELS)
@torch.inference_mode()
def test_any_vision_model_becomes_a_feature_map(name: str, tmp_path: Path) -> None:
    save(name, tmp_path)
    backbone = load_backbone(str(tmp_path), grid=2)
    assert backbone.name == str(tmp_path)
    assert backbone.size == (64 if name in ("convnext", "resnet", "swin") else 32)
    assert backbone.width == 32
    side = SIDES.get(name, 4)
    assert backbone.feature_map(torch.zeros(2, 3, backbone.size, backbone.size)).shape == (
        2,
        32,
        side,
        side,
    )
    regions, context, maps = backbone(photos(3, backbone.size))
    assert maps is None and backbone.classifier() is None
    assert regions.shape == (3, 4, 32)
    assert context.shape == (3, 32)
    assert regions.isfinite().all() and context.isfinite().all()
    assert not any(parameter.requires_grad for parameter in backbone.parameters())


@pytest.mark.parametrize("name", ["vit", "dinov2 with registers", "clip"])
@torch.inference_mode()
def test_patches_stay_where_they_are_in_the_photo(name: str, tmp_path: Path) -> None:
    """With the class token and registers dropped, the map is the model's own patch tokens."""
    model = save(name, tmp_path)
    tower = getattr(model, "vision_model", model)
    pixels = torch.randn(2, 3, 32, 32)
    state = tower(pixel_values=pixels).last_hidden_state
    found = HubBackbone(str(tmp_path)).feature_map(pixels)
    extra = {"vit": 1, "dinov2 with registers": 5, "clip": 1}[name]
    for row in range(4):
        for column in range(4):
            expected = state[:, extra + 4 * row + column]
            torch.testing.assert_close(found[:, :, row, column], expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["vit", "clip", "siglip", "convnext"],
)
@torch.inference_mode()
def test_onnx_export_agrees_with_torch(name: str, tmp_path: Path) -> None:
    save(name, tmp_path)
    backbone = HubBackbone(str(tmp_path), grid=2)
    session = backbone_session(backbone)
    for count in (1, 5):  # other batch sizes than it was traced with
        pixels = photos(count, backbone.size)
        for found, expected in zip(
            session.run(None, {"pixels": pixels.numpy()}), backbone(pixels)[:2], strict=True
        ):
            np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)


@torch.inference_mode()
def test_pixels_are_normalised_as_the_models_own_processor_does(tmp_path: Path) -> None:
    model = save("clip", tmp_path)
    pixels = photos(2, 32)
    processor = hf.CLIPImageProcessor.from_pretrained(tmp_path)
    own = processor(
        list(pixels.numpy()), return_tensors="pt", do_resize=False, do_center_crop=False
    )
    patches = model.vision_model(**own).last_hidden_state[:, 1:]
    context = HubBackbone(str(tmp_path))(pixels).context
    torch.testing.assert_close(context, patches.mean(1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["vit", "dinov2", "clip", "siglip", "convnext"])
@torch.inference_mode()
def test_reads_photos_of_another_size(name: str, tmp_path: Path) -> None:
    save(name, tmp_path)
    backbone = HubBackbone(str(tmp_path), size=96, grid=3)
    assert backbone(photos(1, 96)).regions.shape == (1, 9, 32)


def test_a_size_without_a_feature_map_is_refused(tmp_path: Path) -> None:
    save("vit", tmp_path)
    with pytest.raises(ConfigError, match=r"vision\.size"):
        HubBackbone(str(tmp_path), size=4)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be loaded.*efficientnet-lite0"):
        load_backbone(str(tmp_path))


@pytest.mark.parametrize("offline", [True, False])
def test_a_name_is_refused_at_once_without_a_network_with_what_works_there(
    offline: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections to port 9 are refused, as all are without a network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    for name in ("someone/no-such-vision-model", "no-such-vision-model"):
        start = time.monotonic()
        with pytest.raises(ConfigError, match=rf"{name}: .* hub cannot be reached.*lite0, 1 or 2"):
            load_backbone(name)
        assert time.monotonic() - start < 5  # transformers tries it for half a minute


def test_a_misspelt_offline_backbone_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="there is no efficientnet-lite7"):
        load_backbone("efficientnet-lite7")


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    model = save("vit", tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match="safetensors"):
        HubBackbone(str(tmp_path))


def test_a_checkpoint_with_weights_left_out_is_refused(tmp_path: Path) -> None:
    model = save("vit", tmp_path)
    weights = {k: v for k, v in model.state_dict().items() if "layernorm_after" not in k}
    model.save_pretrained(tmp_path, state_dict=weights)
    with pytest.raises(ConfigError, match="has no values for 4 weights"):
        HubBackbone(str(tmp_path))


def test_a_text_model_is_refused(tmp_path: Path) -> None:
    config = {**WORDS, "bos_token_id": None, "eos_token_id": None, "pad_token_id": 0}
    hf.BertModel(hf.BertConfig(**config)).save_pretrained(tmp_path)
    hf.ViTImageProcessor(**SQUARE).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="another model"):
        HubBackbone(str(tmp_path))
