"""The vision tower of a dual encoder: its patches are regions, its embedding the context."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as hf
from torch import Tensor

from hgan.config import VisionConfig
from hgan.data.captions.read import read_captions
from hgan.data.features.store import FeatureStore
from hgan.errors import ConfigError, DataError
from hgan.vision.dual_encoder import DualEncoderBackbone
from hgan.vision.extract import extract
from hgan.vision.features import features_of
from hgan.vision.load import backbone_of, load_backbone
from tests.fixtures.dual_encoders import PATCH, SIZE, write_dual_encoder
from tests.fixtures.dual_hgan import write_scenes
from tests.fixtures.scenes import draw_scene

SIDE = SIZE // PATCH
NAMES = ["clip", *(pytest.param(n, marks=pytest.mark.slow) for n in ("siglip", "altclip"))]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    for name in ("clip", "siglip", "altclip"):
        write_dual_encoder(name, root / name)
    return root


@torch.inference_mode()
def own(folder: Path, count: int) -> tuple[Tensor, Tensor]:
    """Patch tokens and embeddings as `transformers` computes them."""
    photos = [draw_scene(number).resize((120, 90)) for number in range(count)]
    pixels = hf.AutoImageProcessor.from_pretrained(folder)(photos, return_tensors="pt")
    model = hf.AutoModel.from_pretrained(folder).eval()
    states = model.vision_model(**pixels).last_hidden_state
    return states[:, -(SIDE**2) :], model.get_image_features(**pixels).pooler_output


def pixels(backbone: DualEncoderBackbone, count: int) -> Tensor:
    photos = [draw_scene(number).resize((120, 90)) for number in range(count)]
    return torch.from_numpy(np.stack([backbone.preprocessing.pixels(photo) for photo in photos]))


@pytest.mark.parametrize("name", NAMES)
def test_regions_are_patches_and_the_context_is_the_embedding(models: Path, name: str) -> None:
    backbone = DualEncoderBackbone(str(models / name), SIDE)
    patches, embeddings = own(models / name, 3)
    with torch.inference_mode():
        found = backbone(pixels(backbone, 3))
    assert backbone.width == patches.shape[2] and backbone.context_width == embeddings.shape[1]
    # Pixels differ by rounding: the processor's are not of eight bits after normalisation.
    torch.testing.assert_close(found.context, embeddings, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.regions, patches, atol=1e-4, rtol=1e-4)


def test_regions_of_a_coarser_grid_are_means_of_patches(models: Path) -> None:
    fine, coarse = (DualEncoderBackbone(str(models / "clip"), grid) for grid in (SIDE, SIDE // 2))
    with torch.inference_mode():
        patches, found = (net(pixels(net, 2)) for net in (fine, coarse))
    rows = patches.regions.unflatten(1, (SIDE, SIDE))
    corners = [rows[:, down::2, across::2] for down in (0, 1) for across in (0, 1)]
    expected = torch.stack(corners).mean(0)
    torch.testing.assert_close(found.regions, expected.flatten(1, 2))
    assert torch.equal(found.context, patches.context)


def test_the_text_tower_is_not_kept(models: Path) -> None:
    names = [name for name, _ in DualEncoderBackbone(str(models / "clip")).named_parameters()]
    assert names and not any("text" in name or "logit" in name for name in names)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES[:2])
def test_a_store_has_the_embeddings(models: Path, tmp_path: Path, name: str) -> None:
    data = write_scenes(tmp_path)
    ids = read_captions(data.captions).images[:6]
    vision = VisionConfig(str(models / name), grid=SIDE, views=1, dual_encoder=True)
    extract(backbone_of(vision), data.photos, ids, data.features)
    store = features_of(vision, data.features)
    backbone = DualEncoderBackbone(str(models / name), SIDE)
    photos = [backbone.preprocessing.read(data.photos / key) for key in ids]
    with torch.inference_mode():
        expected = backbone(torch.from_numpy(np.stack(photos)))
    found = store.read(np.arange(6), np.zeros(6, int))
    assert store.context_width == backbone.context_width
    np.testing.assert_allclose(found.context, expected.context, atol=0.02, rtol=2e-3)  # float16
    np.testing.assert_allclose(found.regions, expected.regions, atol=0.02, rtol=2e-3)


# --- bad input


def test_a_model_without_a_text_tower(tmp_path: Path) -> None:
    config = hf.ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=16)
    hf.ViTModel(config).save_pretrained(tmp_path / "vit")
    message = "is of class vit; .* CLIP, SigLIP, AltCLIP; set vision.dual_encoder to false"
    with pytest.raises(ConfigError, match=message):
        DualEncoderBackbone(str(tmp_path / "vit"))


@pytest.mark.parametrize("name", ["efficientnet-lite0", "precomputed"])
def test_a_backbone_that_is_no_dual_encoder(name: str) -> None:
    with pytest.raises(ConfigError, match=f"vision.dual_encoder: {name} is not a dual encoder"):
        load_backbone(name, dual_encoder=True)


def test_no_such_model(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        DualEncoderBackbone(str(tmp_path / "absent"))


def test_towers_that_do_not_fit_each_other(models: Path, tmp_path: Path) -> None:
    """SigLIP's embeddings are as wide as its vision tower; nothing else makes it fit the other."""
    folder = tmp_path / "model"
    shutil.copytree(models / "siglip", folder)
    config = hf.AutoConfig.from_pretrained(folder)
    config.text_config.projection_size = 24
    hf.SiglipModel(config).save_pretrained(folder)
    with pytest.raises(ConfigError, match=r"embeddings of photos have 32 numbers, .* texts 24"):
        DualEncoderBackbone(str(folder))


def test_photos_of_a_size_that_the_tower_does_not_read(models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(models / "clip", folder)
    file = folder / "preprocessor_config.json"
    larger = {"crop_size": {"height": 40, "width": 40}, "size": {"shortest_edge": 40}}
    file.write_text(json.dumps(json.loads(file.read_text()) | larger))
    with pytest.raises(ConfigError, match=r"cannot read the photos .* 40 x 40 pixels"):
        DualEncoderBackbone(str(folder))


def test_settings_that_do_not_go_together(models: Path) -> None:
    with pytest.raises(ConfigError, match=r"vision.size: cannot be set for a dual encoder"):
        VisionConfig(str(models / "clip"), size=64, dual_encoder=True)
    with pytest.raises(ConfigError, match=r"trainable_layers: 3, but .*clip has 2 layers"):
        backbone_of(VisionConfig(str(models / "clip"), trainable_layers=3, dual_encoder=True))


@pytest.mark.slow
def test_features_without_embeddings_are_refused_and_the_reverse(
    models: Path, tmp_path: Path
) -> None:
    data = write_scenes(tmp_path)
    ids = read_captions(data.captions).images[:2]
    name = str(models / "clip")
    for dual in (True, False):
        vision = VisionConfig(name, grid=SIDE, views=1, dual_encoder=dual)
        folder = tmp_path / f"features {dual}"
        extract(backbone_of(vision), data.photos, ids, folder)
        assert isinstance(features_of(vision, folder), FeatureStore)
        other = VisionConfig(name, grid=SIDE, views=1, dual_encoder=not dual)
        with pytest.raises(ConfigError, match=r"vision.dual_encoder: .*, but the contexts of the"):
            features_of(other, folder)
        with pytest.raises(DataError, match="contains features with other"):
            extract(backbone_of(other), data.photos, ids, folder)
    with pytest.raises(DataError, match=r"made with .*clip, but .*siglip is required"):
        other = VisionConfig(str(models / "siglip"), grid=SIDE, dual_encoder=True)
        features_of(other, tmp_path / "features True")
