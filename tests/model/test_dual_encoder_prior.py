"""HGAN on a dual encoder: S starts as its cosine, and every part adds to it from zero."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from hgan.config import TextConfig, VisionConfig
from hgan.data.batches.tokens import pad, tokenise
from hgan.data.batches.types import ImageBatch, TextBatch
from hgan.encoded import LEVELS
from hgan.errors import ConfigError
from hgan.model.hgan import HGAN, HGANConfig
from hgan.model.io import TrainedModel, load_checkpoint
from hgan.model.matchers import matcher_config
from hgan.model.photos import encode_photos
from hgan.text.dual_encoder import DualTextEncoder
from hgan.vision.backbone import Backbone, grid_boxes
from hgan.vision.load import backbone_of
from tests.fixtures.dual_encoders import (
    SIZE,
    TEXTS,
    WORDS,
    own_features,
    write_dual_encoder,
)
from tests.fixtures.dual_hgan import GRID
from tests.fixtures.networks import assert_equal
from tests.fixtures.scenes import draw_scene

SMALL = HGANConfig(
    prior="dual_encoder", prior_share=0.8, width=20, node_width=16, graph_layers=2, slots=3,
    slot_width=8, local_width=10, dropout=0.2,
)  # fmt: skip
NAMES = ["clip", "siglip", pytest.param("altclip", marks=pytest.mark.slow)]
Make = Callable[..., tuple[TrainedModel, Backbone]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    for name in ("clip", "siglip", "altclip"):
        write_dual_encoder(name, root / name)
    return root


def make(folder: Path, layers: int | None = 1, **changes: object) -> tuple[TrainedModel, Backbone]:
    """A new model on a dual encoder, and its backbone."""
    vision = VisionConfig(str(folder), grid=GRID, views=1, dual_encoder=True)
    text = TextConfig(str(folder), trainable_layers=layers, max_words=WORDS)
    backbone = backbone_of(vision)
    torch.manual_seed(0)
    config = matcher_config(vars(SMALL) | changes)
    model = TrainedModel.create(
        config, vision, text, backbone.width, grid_boxes(GRID), (), backbone.context_width
    )
    model.network.eval()
    return model, backbone


def photos() -> list[Image.Image]:
    return [draw_scene(number).resize((120, 90)) for number in range(4)]


def features(backbone: Backbone, seen: list[Image.Image] | None = None) -> ImageBatch:
    pixels = np.stack([backbone.preprocessing.pixels(photo) for photo in seen or photos()])
    with torch.no_grad():
        found = backbone(torch.from_numpy(pixels))
    mask = torch.ones(found.regions.shape[:2], dtype=torch.bool)
    return ImageBatch(found.regions, found.context, mask, torch.from_numpy(grid_boxes(GRID)))


def tokens(model: TrainedModel, texts: list[str] = TEXTS) -> TextBatch:
    return pad(tokenise(model.tokenizer, texts, WORDS))


def levels(model: TrainedModel, images: ImageBatch, texts: TextBatch) -> dict[str, Tensor]:
    network = model.network
    return network.levels(network.encode_image(images), network.encode_text(texts))


# --- before the first step


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("share", [0.3, 0.8])
def test_before_the_first_step_s_is_the_cosine_of_transformers(
    models: Path, name: str, share: float
) -> None:
    model, backbone = make(models / name, prior_share=share)
    images, texts = own_features(models / name, photos(), TEXTS)
    expected = torch.from_numpy(images @ texts.T)
    network = model.network
    encoded = network.encode_image(features(backbone)), network.encode_text(tokens(model))
    torch.testing.assert_close(network.similarity(*encoded), expected, atol=2e-5, rtol=0)
    torch.testing.assert_close(encoded[0].context, torch.from_numpy(images), atol=2e-5, rtol=0)
    torch.testing.assert_close(encoded[1].context, torch.from_numpy(texts), atol=2e-5, rtol=0)
    assert expected.std() > 0.02, "the model tells photos and texts apart"
    assert network.weights == {"context": 1.0, "shared": 0.0, "local": 0.0}


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_cosine_on_real_photos_and_captions(
    models: Path, name: str, flickr8k: Path
) -> None:
    from hgan.data.captions.read import read_captions

    captions = read_captions(flickr8k / "captions.jsonl")
    seen = [Image.open(flickr8k / "images" / key).convert("RGB") for key in captions.images[:6]]
    texts = captions.texts[:12]
    model, backbone = make(models / name)
    one, other = own_features(models / name, seen, texts)
    network = model.network
    found = network.similarity(
        network.encode_image(features(backbone, seen)), network.encode_text(tokens(model, texts))
    )
    torch.testing.assert_close(found, torch.from_numpy(one @ other.T), atol=5e-4, rtol=0)


def test_from_pixels_to_s(models: Path) -> None:
    model, backbone = make(models / "clip")
    pixels = np.stack([backbone.preprocessing.pixels(photo) for photo in photos()])
    boxes = torch.from_numpy(model.boxes)
    seen = encode_photos(backbone, model.network, torch.from_numpy(pixels), boxes)
    torch.testing.assert_close(seen.context, model.network.encode_image(features(backbone)).context)


@pytest.mark.parametrize("wanted", [["context"], ["local", "context"], ["context", "shared"]])
def test_some_of_the_levels(models: Path, wanted: list[str]) -> None:
    model, backbone = make(models / "clip", levels=wanted)
    images, texts = own_features(models / "clip", photos(), TEXTS)
    network = model.network
    assert network.weights == {name: float(name == "context") for name in wanted}
    found = network.similarity(
        network.encode_image(features(backbone)), network.encode_text(tokens(model))
    )
    torch.testing.assert_close(found, torch.from_numpy(images @ texts.T), atol=2e-5, rtol=0)


def test_the_rows_and_widths_are_as_described(models: Path) -> None:
    model, backbone = make(models / "clip")
    net = model.network
    assert isinstance(net, HGAN)
    encoded = net.encode_text(tokens(model))
    assert net.widths == {"context": 16, "slots": 3, "slot": 8, "local": 10}
    assert encoded.context.shape[1] == 16 and encoded.local.shape[2] == 10
    for rows in (encoded.context, encoded.slots):
        torch.testing.assert_close(rows.norm(dim=-1), torch.ones(rows.shape[:-1]))
    lengths = encoded.local.norm(dim=-1)[encoded.mask]  # words count alike at the start
    torch.testing.assert_close(lengths, torch.ones(len(lengths)))
    assert features(backbone).context.shape[1] == 16


def test_without_the_prior_the_same_features_start_from_nothing(models: Path) -> None:
    model, backbone = make(models / "clip", prior="none")
    found = levels(model, features(backbone), tokens(model))
    assert set(found) == set(LEVELS) and model.network.has_prior is False
    assert model.network.encode_text(tokens(model)).context.shape[1] == SMALL.width


# --- training


def loss(model: TrainedModel, images: ImageBatch, texts: TextBatch) -> Tensor:
    """As in training, the mean of the levels' losses."""
    found = levels(model, images, texts).values()
    target = torch.arange(4)
    return sum((F.cross_entropy(20 * s, target) + F.cross_entropy(20 * s.T, target) for s in found),
               torch.zeros(()))  # fmt: skip


def step(model: TrainedModel, images: ImageBatch, texts: TextBatch) -> None:
    trained = [p for p in model.network.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.05)
    optimizer.zero_grad()
    loss(model, images, texts).backward()
    optimizer.step()


PARTS = {
    "image": "graph node_local node_whole context_local context_whole context_node shared_local "
    "shared_node local_out",
    "text": "graph node_local node_whole context_local context_whole context_node shared_local "
    "shared_node local_out importance",
    "shared": "aggregation rearrangement",
}


@pytest.mark.parametrize("name", ["clip", "siglip"])
@pytest.mark.parametrize("steps", [1, 3])
def test_after_one_step_gradients_reach_every_part(models: Path, name: str, steps: int) -> None:
    """Three steps for the geometry of edges, which starts at zero in a graph that does."""
    model, backbone = make(models / name)
    net, images, texts = model.network, features(backbone), tokens(model)
    assert isinstance(net, HGAN)
    for _ in range(steps):
        step(model, images, texts)
    for parameter in net.parameters():
        parameter.grad = None
    loss(model, images, texts).backward()
    for tower, parts in PARTS.items():
        for part in parts.split():
            module = getattr(net.text_tower if tower == "text" else net.image_tower, part)
            for own, parameter in module.named_parameters():
                if parameter.dim() == 1 or (steps == 1 and "edge_bias" in own):
                    continue
                gradient = parameter.grad
                assert gradient is not None and gradient.isfinite().all(), (tower, part, own)
                assert gradient.abs().sum() > 0, (tower, part, own)
    for tower in (net.image_tower, net.text_tower):
        grads = [p.grad for p in tower.pool.parameters() if p.dim() > 1]
        assert all(g is not None and g.abs().sum() > 0 for g in grads), "pooling"
    trained = [p for p in net.text.parameters() if p.requires_grad]
    assert trained and all(p.grad is not None and p.grad.isfinite().all() for p in trained)


def test_the_first_step_reaches_the_context_from_both_sides(models: Path) -> None:
    """The learned part of both towers is zero then, but it is added to embeddings that are not."""
    model, backbone = make(models / "clip", layers=0)
    net, images, texts = model.network, features(backbone), tokens(model)
    assert isinstance(net, HGAN)
    before = levels(model, images, texts)
    step(model, images, texts)
    for tower in (net.image_tower, net.text_tower):
        for part in ("context_local", "context_whole", "context_node"):
            assert getattr(tower, part).weight.abs().sum() > 0, part
    after = levels(model, images, texts)
    for name in LEVELS:
        assert (after[name] - before[name]).abs().max() > 1e-5, name


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_the_share_bounds_how_far_training_moves_an_embedding(models: Path, share: float) -> None:
    model, backbone = make(models / "clip", prior_share=share)
    net, images = model.network, features(backbone)
    assert isinstance(net, HGAN)
    with torch.no_grad():
        for name in ("context_local", "context_whole", "context_node"):
            getattr(net.image_tower, name).weight.normal_(std=100)
    found = net.encode_image(images).context
    cosine = (found * F.normalize(images.context, dim=1)).sum(1)
    least = (1 - (1 - share) / share) ** 0.5  # the tangent to a ball around the embedding
    assert (cosine >= least - 1e-5).all() and cosine.min() < 0.99
    torch.testing.assert_close(found.norm(dim=1), torch.ones(4))


@pytest.mark.parametrize("size", [0.01, 3.0])
def test_what_is_learned_is_added_as_equation_28_says(models: Path, size: float) -> None:
    """With one open path, photo by photo; short and long vectors are added."""
    model, backbone = make(models / "clip", prior_share=0.7)
    net, images = model.network, features(backbone)
    assert isinstance(net, HGAN)
    path = net.image_tower.context_whole
    with torch.no_grad():
        path.weight.normal_(std=size)
        path.bias.normal_(std=size)
    for found, embedding in zip(net.encode_image(images).context, images.context, strict=True):
        centred = embedding - embedding.mean()
        learned = path.weight @ (centred / (centred.square().mean() + 1e-5).sqrt()) + path.bias
        learned = learned / max(1.0, learned.norm().item())
        total = 0.7**0.5 * embedding / embedding.norm() + 0.3**0.5 * learned
        torch.testing.assert_close(found, total / total.norm(), atol=1e-5, rtol=0)


def test_the_first_step_trains_the_text_tower_by_its_embeddings(models: Path) -> None:
    model, backbone = make(
        models / "clip", levels=["context"], mfar=False, image_graph=False, text_graph=False
    )
    images, texts = features(backbone), tokens(model)
    loss(model, images, texts).backward()
    trained = [p for p in model.network.text.parameters() if p.requires_grad and p.dim() > 1]
    assert trained and all(p.grad is not None and p.grad.abs().sum() > 0 for p in trained)


def test_the_context_follows_the_trained_text_tower(models: Path) -> None:
    model, _ = make(models / "clip")
    before = model.network.encode_text(tokens(model)).context
    encoder = model.network.text
    assert isinstance(encoder, DualTextEncoder)
    with torch.no_grad():
        for parameter in encoder._layers()[-1].parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        expected = encoder(tokens(model).ids, tokens(model).mask).context
    after = model.network.encode_text(tokens(model)).context
    assert (after - before).abs().max() > 0.01
    torch.testing.assert_close(after, F.normalize(expected, dim=1))


# --- checkpoints


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_encodes_as_before_without_the_model(
    models: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(models / name, folder)
    model, backbone = make(folder)
    step(model, features(backbone), tokens(model))
    images, texts = features(backbone), tokens(model)
    model.save_pretrained(tmp_path / "saved")
    shutil.rmtree(folder)
    again = load_checkpoint(tmp_path / "saved")
    assert_equal(again.network.encode_image(images), model.network.encode_image(images), 0)
    assert_equal(again.network.encode_text(texts), model.network.encode_text(texts), 0)
    assert again.network.has_prior and again.vision.dual_encoder
    card = (tmp_path / "saved" / "README.md").read_text(encoding="utf-8")
    assert "| prior | the embeddings of model, a dual encoder |" in card
    assert "WordNet" not in card


# --- bad input


def test_the_prior_is_the_frozen_vision_tower_beside_trained_layers(models: Path) -> None:
    """What is learned starts at zero, so that S does not change with the trained layers yet."""
    model, _ = make(models / "clip")
    vision = replace(model.vision, trainable_layers=1)
    backbone = backbone_of(vision).eval()
    network = model.network.eval()
    network.vision = backbone.blocks()
    pixels = torch.randint(0, 256, (2, SIZE, SIZE, 3), generator=torch.Generator().manual_seed(0))
    boxes = torch.from_numpy(grid_boxes(GRID))
    with torch.no_grad():
        before = encode_photos(backbone, network, pixels.to(torch.uint8), boxes)
        for parameter in network.vision.parameters():
            parameter.add_(torch.randn_like(parameter))
        after = encode_photos(backbone, network, pixels.to(torch.uint8), boxes)
    torch.testing.assert_close(after.context, before.context, atol=1e-6, rtol=0)
    assert not torch.allclose(after.local, before.local, atol=1e-2)


def test_a_prior_without_embeddings_of_photos(models: Path) -> None:
    vision = VisionConfig(str(models / "clip"), grid=GRID)
    text = TextConfig(str(models / "clip"), max_words=WORDS, trainable_layers=1)
    with pytest.raises(ConfigError, match=r"set vision.dual_encoder to true"):
        TrainedModel.create(SMALL, vision, text, 32, None)


def test_two_models_are_refused(models: Path) -> None:
    vision = VisionConfig(str(models / "clip"), grid=GRID, dual_encoder=True)
    text = TextConfig(str(models / "altclip"), max_words=WORDS, trainable_layers=1)
    message = r"vision.backbone is .*clip and text.encoder .*altclip; set text.encoder to .*clip"
    with pytest.raises(ConfigError, match=message):
        TrainedModel.create(SMALL, vision, text, 32, None, (), 16)


def test_embeddings_of_another_width_are_refused(models: Path) -> None:
    vision = VisionConfig(str(models / "clip"), grid=GRID, dual_encoder=True)
    text = TextConfig(str(models / "clip"), max_words=WORDS, trainable_layers=1)
    with pytest.raises(ConfigError, match=r"embeddings of 24 numbers, but .* have 16"):
        TrainedModel.create(SMALL, vision, text, 32, None, (), 24)


def test_the_prior_needs_the_context_level() -> None:
    with pytest.raises(ConfigError, match="dual_encoder needs the level context"):
        replace(SMALL, levels=["local"])


def test_other_matchers_do_not_read_embeddings(models: Path) -> None:
    vision = VisionConfig(str(models / "clip"), grid=GRID, dual_encoder=True)
    text = TextConfig(str(models / "clip"), max_words=WORDS, trainable_layers=1)
    config = matcher_config({"name": "vse_infinity", "width": 8})
    with pytest.raises(ConfigError, match=r"model.name: vse_infinity cannot use the embeddings"):
        TrainedModel.create(config, vision, text, 32, None, (), 16)


def test_photos_are_squares_of_the_models_own_size(models: Path) -> None:
    _, backbone = make(models / "clip")
    assert backbone.size == SIZE and backbone.preprocessing.fit == "crop"
