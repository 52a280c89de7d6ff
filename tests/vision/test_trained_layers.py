"""The layers of a backbone that are trained: before training they are the frozen backbone."""

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as hf

from hgan.config import VisionConfig
from hgan.errors import ConfigError
from hgan.vision.backbone import Backbone, Blocks
from hgan.vision.extract import backbone_session
from hgan.vision.load import backbone_of, load_backbone
from tests.fixtures.dual_encoders import write_dual_encoder
from tests.fixtures.pixels import KINDS, LAYERS, vision_of
from tests.vision.test_hub import MODELS, save

CASES = [
    *(("efficientnet-lite", n) for n in (1, 12, 21, None)),
    *(("vit", n) for n in (1, 2, 3, None)),
    *(("clip", n) for n in (1, 2, None)),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def photos(count: int, size: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(2)
    coarse = torch.randint(0, 256, (count, 3, 8, 8), generator=rng).float()
    smooth = torch.nn.functional.interpolate(coarse, size=size, mode="bilinear")
    return smooth.permute(0, 2, 3, 1).to(torch.uint8).contiguous()


def build(kind: str, folder: Path, trained: int | None) -> Backbone:
    return backbone_of(vision_of(kind, folder, trainable_layers=trained)).eval()


@pytest.mark.parametrize(("kind", "trained"), CASES)
def test_before_training_they_equal_the_frozen_network(
    kind: str, trained: int | None, folder: Path
) -> None:
    frozen, backbone = build(kind, folder, 0), build(kind, folder, trained)
    pixels = photos(3, frozen.size)
    with torch.no_grad():
        expected, found = frozen(pixels), backbone(pixels)
        assert expected.maps is None and found.maps is not None
        again = backbone.blocks().train()(found.maps)
    for other in (found, again):
        torch.testing.assert_close(other.regions, expected.regions, atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(other.context, expected.context, atol=2e-5, rtol=1e-4)
    assert expected.regions.std() > 0.05
    if trained is None:
        assert torch.equal(found.maps, pixels)


@pytest.mark.parametrize("name", [*MODELS, "siglip as a dual encoder", "altclip as a dual encoder"])
def test_all_classes_of_the_hub(name: str, tmp_path: Path) -> None:
    """With a list of layers, the last one; without, everything or nothing."""
    dual = name.endswith("dual encoder")
    if dual:
        write_dual_encoder(name.split()[0], tmp_path)
    else:
        save(name, tmp_path)
    for trained in (1, None):
        if trained and name in ("convnext", "resnet", "swin"):
            with pytest.raises(ConfigError, match=r"has no list of layers .*use 0, or null"):
                load_backbone(str(tmp_path), 2, None, trained, dual)
            continue
        backbone = load_backbone(str(tmp_path), 2, None, trained, dual)
        seen = backbone(photos(2, backbone.size))
        assert seen.maps is not None
        found = backbone.blocks()(seen.maps)
        torch.testing.assert_close(found.regions, seen.regions, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(found.context, seen.context, atol=1e-4, rtol=1e-4)
        assert found.context.requires_grad and not seen.context.requires_grad


@pytest.mark.parametrize(("kind", "trained"), CASES)
def test_they_are_a_copy_that_can_be_trained(kind: str, trained: int | None, folder: Path) -> None:
    backbone = build(kind, folder, trained)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    blocks = backbone.blocks()
    maps = backbone(photos(2, backbone.size)).maps
    assert maps is not None
    found = blocks(maps)
    (found.regions.square().mean() + found.context.square().mean()).backward()
    learns = [p for p in blocks.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learns)
    moved = [p.grad is not None and float(p.grad.abs().sum()) > 0 for p in learns]
    assert sum(moved) > len(learns) / 2
    torch.optim.SGD(learns, lr=1e-2).step()
    assert all(torch.equal(value, before[n]) for n, value in backbone.state_dict().items())
    everything = build(kind, folder, None).blocks()
    counts = [sum(p.numel() for p in part.parameters()) for part in (blocks, everything)]
    assert (counts[0] < counts[1]) == (trained is not None)


@pytest.mark.parametrize(("kind", "trained"), CASES)
def test_gradients_with_checkpointing_are_those_without(
    kind: str, trained: int | None, folder: Path
) -> None:
    backbone = build(kind, folder, trained)
    with torch.no_grad():
        maps = backbone(photos(2, backbone.size)).maps
    assert maps is not None
    grads, ran = [], []
    for again in (False, True):
        blocks = backbone.blocks()
        blocks.checkpointing = again
        calls: list[None] = []
        for block in blocks.blocks:
            block.register_forward_pre_hook(lambda *_, calls=calls: calls.append(None))
        found = blocks(maps)
        (found.regions.square().mean() + found.context.sum()).backward()
        grads.append([p.grad for p in blocks.parameters() if p.requires_grad])
        ran.append(len(calls))
    assert ran[1] > ran[0]  # values were computed again
    for one, other in zip(*grads, strict=True):
        assert one is not None and other is not None
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)


def test_checkpointing_keeps_fewer_values(folder: Path) -> None:
    backbone = build("vit", folder, None)
    kept = []
    for again in (False, True):
        blocks, sizes = backbone.blocks(), [0]
        blocks.checkpointing = again

        def pack(value: torch.Tensor, sizes: list[int] = sizes) -> torch.Tensor:
            sizes[0] += value.numel()
            return value

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
            blocks(photos(8, backbone.size)).regions.sum()
        kept.append(sizes[0])
    assert kept[1] < kept[0] / 3


def test_batch_normalisation_stays_frozen(tmp_path: Path) -> None:
    """A ResNet trained completely: neither statistics nor scales and shifts change."""
    save("resnet", tmp_path)
    backbone = load_backbone(str(tmp_path), 2, None, None)
    blocks = backbone.blocks().train()
    norms = [m for m in blocks.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    before = [{k: v.clone() for k, v in norm.state_dict().items()} for norm in norms]
    optimizer = torch.optim.AdamW([p for p in blocks.parameters() if p.requires_grad], lr=0.1)
    first = blocks(photos(4, backbone.size)).regions
    first.square().mean().backward()
    optimizer.step()
    assert norms and not torch.equal(blocks(photos(4, backbone.size)).regions, first)
    for norm, old in zip(norms, before, strict=True):
        assert all(torch.equal(value, old[key]) for key, value in norm.state_dict().items())


def test_dropout_of_the_pretrained_model_is_off(tmp_path: Path) -> None:
    config = hf.ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        image_size=32, patch_size=8, hidden_dropout_prob=0.5,
    )  # fmt: skip
    hf.ViTModel(config).save_pretrained(tmp_path)
    hf.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    blocks: Blocks = load_backbone(str(tmp_path), 2, None, None).blocks().train()
    pixels = photos(2, 32)
    assert torch.equal(blocks(pixels).regions, blocks(pixels).regions)


@pytest.mark.parametrize("kind", KINDS)
def test_more_layers_than_there_are(kind: str, folder: Path) -> None:
    most = LAYERS[kind]
    with pytest.raises(ConfigError, match=rf"layers: {most + 1}, but .* has {most} layers; null"):
        build(kind, folder, most + 1)


def test_all_layers_need_photos_that_are_read_in_every_epoch() -> None:
    with pytest.raises(ConfigError, match=r"trainable_layers: null .*set vision.views to null"):
        VisionConfig(trainable_layers=None)
    VisionConfig(trainable_layers=None, views=None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "needs_frozen"),
    [
        ("efficientnet-lite", False),
        *((k, n) for k in ("vit", "clip") for n in (True, False)),
    ],
)
@torch.inference_mode()
def test_the_frozen_layers_are_exported(kind: str, needs_frozen: bool, folder: Path) -> None:
    backbone = build(kind, folder, 1)
    backbone.needs_frozen = needs_frozen
    session = backbone_session(backbone)
    pixels = photos(3, backbone.size)
    expected = backbone(pixels)
    assert bool(expected.regions.any()) == bool(expected.context.any()) == needs_frozen
    for found, value in zip(session.run(None, {"pixels": pixels.numpy()}), expected, strict=True):
        assert value is not None
        np.testing.assert_allclose(found, value.numpy(), atol=1e-4)
