"""The semantic prior: ConSE by plain loops, and an HGAN that starts from its score."""

import math

import pytest
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from hgan.data.batches.types import ImageBatch, TextBatch
from hgan.encoded import LEVELS
from hgan.errors import ConfigError
from hgan.model.hgan import HGAN, HGANConfig
from hgan.model.prior import (
    TEMPERATURE,
    SemanticPrior,
    build_prior,
    empty_prior,
    sentence_embeddings,
)
from hgan.text.transformer import TransformerEncoder, load_transformer
from hgan.vision.backbone import Classifier
from tests.fixtures.networks import (
    COMPONENTS,
    LOCAL_COMPONENTS,
    assert_equal,
    captions,
    network_with_prior,
    open_paths,
    photos,
    text_encoder,
    tiny_prior,
)
from tests.fixtures.tiny_model import write_tiny_bert

NAMES = ["red dog, hound", "cat", "the white horse in the snow", "bird", "street", "grass", "water"]
IMAGE_WIDTH = 12


# --- positions, by plain loops


def softmax(values: list[float]) -> list[float]:
    powers = [math.exp(value - max(values)) for value in values]
    return [power / sum(powers) for power in powers]


def image_position(prior: SemanticPrior, feature: Tensor) -> list[float]:
    """The definition: a mean of the class embeddings by the classifier's probabilities."""
    logits = [
        sum(w * x for w, x in zip(row, feature.tolist(), strict=True)) + bias
        for row, bias in zip(prior.weight.tolist(), prior.bias.tolist(), strict=True)
    ]
    shares = softmax([logit / TEMPERATURE for logit in logits])
    columns = prior.classes.T.tolist()
    return [sum(s * e for s, e in zip(shares, column, strict=True)) for column in columns]


def text_position(prior: SemanticPrior, state: Tensor) -> list[float]:
    """The definition: the state at length one, minus the mean of the class embeddings."""
    length = math.sqrt(sum(x * x for x in state.tolist()))
    centred = [x / length - m for x, m in zip(state.tolist(), prior.mean.tolist(), strict=True)]
    columns = prior.basis.T.tolist()
    return [sum(c * b for c, b in zip(centred, column, strict=True)) for column in columns]


def cosine(one: list[float], other: list[float], width: int) -> float:
    pairs = list(zip(one[:width], other[:width], strict=True))
    lengths = [math.sqrt(sum(x * x for x in row[:width])) for row in (one, other)]
    return sum(x * y for x, y in pairs) / (lengths[0] * lengths[1])


def test_photos_and_regions_equal_the_definition() -> None:
    prior, batch = tiny_prior(), photos()
    expected = [[image_position(prior, row) for row in photo] for photo in batch.regions]
    torch.testing.assert_close(prior.image(batch.regions), torch.tensor(expected))
    expected = [image_position(prior, row) for row in batch.context]
    torch.testing.assert_close(prior.image(batch.context), torch.tensor(expected))


def test_texts_and_words_equal_the_definition() -> None:
    prior = tiny_prior()
    states = torch.randn(3, 5, text_encoder().width, generator=torch.Generator().manual_seed(0))
    expected = [[text_position(prior, row) for row in text] for text in states]
    torch.testing.assert_close(prior.text(states), torch.tensor(expected))
    torch.testing.assert_close(prior.text(7 * states), prior.text(states))  # of any length


# --- a prior that is made of a classifier and a text encoder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> tuple[TransformerEncoder, Tokenizer]:
    made, tokenizer = load_transformer(str(write_tiny_bert(tmp_path_factory.mktemp("e") / "bert")))
    made.freeze(1)
    made.keep_pretrained(1)
    return made.eval(), tokenizer


def classifier(names: list[str] = NAMES, classes: int = len(NAMES)) -> Classifier:
    rng = torch.Generator().manual_seed(5)
    weight = torch.randn(classes, IMAGE_WIDTH, generator=rng)
    return Classifier(weight, torch.randn(classes, generator=rng), names)


def embedding(encoder: tuple[TransformerEncoder, Tokenizer], text: str) -> Tensor:
    """The sentence embedding (D_t) of one text alone, without padding."""
    network, tokenizer = encoder
    ids = torch.tensor([tokenizer.encode(text).ids])
    states = network.encode(ids, torch.ones_like(ids), None)[0].detach()
    return F.normalize(states.mean(0), dim=0)


def test_sentence_embeddings_equal_one_text_at_a_time(
    encoder: tuple[TransformerEncoder, Tokenizer],
) -> None:
    texts = ["a dog", "the white horse runs on the street in the snow", "cat", "a"]
    found = sentence_embeddings(*encoder, texts)
    expected = torch.stack([embedding(encoder, text) for text in texts])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_all_components_keep_the_inner_products_with_texts(
    encoder: tuple[TransformerEncoder, Tokenizer],
) -> None:
    """Positions are in the span of the class embeddings, so that the projection loses nothing."""
    given = classifier()
    prior = build_prior(given, *encoder, width=len(NAMES))
    classes = [embedding(encoder, f"a photo of a {name.split(',')[0]}") for name in NAMES]
    mean = torch.stack(classes).mean(0)
    features = torch.randn(4, IMAGE_WIDTH, generator=torch.Generator().manual_seed(1))
    texts = ["a dog in the grass", "the blue cat", "snow"]
    states = torch.stack([embedding(encoder, text) for text in texts])
    found = prior.image(features) @ prior.text(states).T
    for i, feature in enumerate(features):
        shares = softmax(((given.weight @ feature + given.bias) / TEMPERATURE).tolist())
        pairs = zip(shares, classes, strict=True)
        position = sum(share * (embedded - mean) for share, embedded in pairs)
        for j, state in enumerate(states):
            expected = position @ (state - mean)
            assert found[i, j].item() == pytest.approx(expected.item(), abs=1e-5)


def test_fewer_components_are_the_first_of_more(
    encoder: tuple[TransformerEncoder, Tokenizer],
) -> None:
    """The local level uses the first components; they hold the most variance."""
    few, many = (build_prior(classifier(), *encoder, width=width) for width in (3, 6))
    torch.testing.assert_close(few.classes, many.classes[:, :3])
    torch.testing.assert_close(few.basis, many.basis[:, :3])
    variance = many.classes.square().sum(0)
    assert (variance[:-1] >= variance[1:]).all()


def test_a_photo_of_a_class_is_nearest_to_its_name(
    encoder: tuple[TransformerEncoder, Tokenizer],
) -> None:
    given = classifier()
    sure = Classifier(50 * torch.eye(len(NAMES)), torch.zeros(len(NAMES)), given.names)
    prior = build_prior(sure, *encoder, width=len(NAMES))
    texts = [f"a photo of a {name.split(',')[0]}" for name in NAMES]
    words = prior.text(sentence_embeddings(*encoder, texts))
    scores = F.normalize(prior.image(torch.eye(len(NAMES))), dim=1) @ F.normalize(words, dim=1).T
    assert scores.argmax(1).tolist() == list(range(len(NAMES)))


def test_names_that_do_not_fit_the_classifier(
    encoder: tuple[TransformerEncoder, Tokenizer],
) -> None:
    with pytest.raises(ConfigError, match="has 7 classes, but 6 names"):
        build_prior(classifier(NAMES[:-1]), *encoder, width=3)


@pytest.mark.parametrize("classes", [7, 40])
def test_more_components_than_there_are(
    encoder: tuple[TransformerEncoder, Tokenizer], classes: int
) -> None:
    names = [f"dog {i}" for i in range(classes)]
    most = min(classes, encoder[0].width)
    with pytest.raises(ConfigError, match=rf"prior_width: {most + 1}, .* at most {most} comp"):
        build_prior(classifier(names, classes), *encoder, width=most + 1)
    assert build_prior(classifier(names, classes), *encoder, width=most).width == most


def test_a_prior_is_described_by_its_sizes() -> None:
    prior = tiny_prior()
    again = empty_prior(prior.describe())
    again.load_state_dict(prior.state_dict(), strict=True)
    assert again.describe() == prior.describe()
    assert not list(prior.parameters())


# --- an HGAN that starts from the prior


def scores_from_scratch(net: HGAN, images: ImageBatch, texts: TextBatch) -> dict[str, Tensor]:
    """The score of the prior alone at each level, in loops over photos, captions, words, regions,
    with the states of an encoder that was never trained."""
    prior, share = net.prior, net.config.prior_share
    assert prior is not None
    states = text_encoder()(texts.ids, texts.mask)
    found = {name: torch.zeros(len(images.regions), len(texts.ids)) for name in LEVELS}
    for i in range(len(images.regions)):
        photo = image_position(prior, images.context[i])
        regions = [image_position(prior, row) for row in images.regions[i][images.mask[i]]]
        for j in range(len(texts.ids)):
            whole = text_position(prior, states.context[j])
            found["context"][i, j] = share * cosine(photo, whole, COMPONENTS)
            best = []
            for state in states.states[j][states.words[j]]:
                word = text_position(prior, state)
                best.append(max(cosine(region, word, LOCAL_COMPONENTS) for region in regions))
            found["local"][i, j] = share * sum(best) / len(best)
    return found


@pytest.mark.parametrize("share", [0.4, 0.9])
def test_before_the_first_step_the_score_is_that_of_the_prior(share: float) -> None:
    net, images, texts = network_with_prior(prior_share=share), photos(), captions()
    with torch.no_grad():  # it does not depend on the trained layers of the text encoder
        for parameter in net.text.transformer.encoder.layer[-1].parameters():
            parameter.add_(torch.randn_like(parameter))
    expected = scores_from_scratch(net, images, texts)
    levels = net.levels(net.encode_image(images), net.encode_text(texts))
    for name in ("context", "local"):
        torch.testing.assert_close(levels[name], expected[name], atol=1e-5, rtol=0)
    assert levels["context"].std() > 0.01 and levels["local"].std() > 0.01
    s = net.similarity(net.encode_image(images), net.encode_text(texts))
    total = (expected["context"] + expected["local"]) / 2
    torch.testing.assert_close(s, total, atol=1e-5, rtol=0)


@pytest.mark.parametrize("levels", [["context"], ["local"], ["context", "local"]])
def test_a_prior_with_some_of_the_levels(levels: list[str]) -> None:
    net, images, texts = network_with_prior(levels=levels), photos(), captions()
    expected = scores_from_scratch(net, images, texts)
    for name, scores in net.levels(net.encode_image(images), net.encode_text(texts)).items():
        torch.testing.assert_close(scores, expected[name], atol=1e-5, rtol=0)


def test_padding_changes_nothing() -> None:
    net, images, texts = network_with_prior(), photos(), captions()
    open_paths(net)
    hidden = ~images.mask[..., None]
    dirty = ImageBatch(
        images.regions.masked_fill(hidden, 1e3), images.context, images.mask, images.boxes
    )
    assert_equal(net.encode_image(dirty), net.encode_image(images))
    garbage = torch.randint(5, 40, (3, 4))
    longer = TextBatch(
        torch.cat([texts.ids, garbage], dim=1),
        torch.cat([texts.mask, torch.zeros_like(garbage)], dim=1),
    )
    assert_equal(net.encode_text(longer), net.encode_text(texts))


def test_caches_change_nothing() -> None:
    net, texts = network_with_prior(), captions()
    open_paths(net)
    frozen = net.text.pretrained_states(texts.ids, texts.mask, net.text.frozen_layers)
    states = net.text.pretrained_states(texts.ids, texts.mask, None)
    cached = TextBatch(texts.ids, texts.mask, frozen, states)
    assert_equal(net.encode_text(cached), net.encode_text(texts))


def test_bfloat16_is_close_to_float32() -> None:
    net, images, texts = network_with_prior(), photos(), captions()
    open_paths(net)
    exact = net.levels(net.encode_image(images), net.encode_text(texts))
    with torch.autocast("cpu", torch.bfloat16):
        rough = net.encode_image(images), net.encode_text(texts)
    assert all(e.context.dtype == e.local.dtype == torch.float32 for e in rough)
    for name, scores in net.levels(*rough).items():
        torch.testing.assert_close(scores, exact[name], atol=0.05, rtol=0)


def test_empty_items_are_finite() -> None:
    net = network_with_prior()
    images, texts = photos(), captions((0, 3))
    bare = ImageBatch(images.regions, images.context, torch.zeros_like(images.mask), images.boxes)
    for seen in (images, bare):
        assert net.similarity(net.encode_image(seen), net.encode_text(texts)).isfinite().all()


def loss(net: HGAN) -> Tensor:
    levels = net.levels(net.encode_image(photos(3)), net.encode_text(captions()))
    s = torch.stack(list(levels.values())).mean(0)
    return F.cross_entropy(20 * s, torch.arange(3)) + F.cross_entropy(20 * s.T, torch.arange(3))


def test_the_first_step_moves_the_learned_part_with_finite_gradients() -> None:
    net = network_with_prior().train()
    loss(net).backward()
    gradients = {name: p.grad for name, p in net.named_parameters() if p.grad is not None}
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    for name in ("context_local", "context_whole", "local_out"):
        assert gradients[f"image_tower.{name}.weight"].abs().sum() > 0, name


def test_every_trained_parameter_learns() -> None:
    net = network_with_prior().train()
    open_paths(net)
    loss(net).backward()
    # A bias of all scores alike cannot move a softmax; these have no other effect.
    invariant = ("edge_bias.net.2.bias", "self.key.bias", "norm_local.bias", "importance.bias")
    for name, parameter in net.named_parameters():
        if parameter.requires_grad and not name.endswith(invariant):
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
            assert parameter.grad.isfinite().all(), name


def test_training_changes_what_is_learned_and_nothing_of_the_prior() -> None:
    net = network_with_prior().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    trained = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.01, weight_decay=0.1)
    first = loss(net).item()
    for _ in range(12):
        optimizer.zero_grad()
        loss(net).backward()
        optimizer.step()
    assert loss(net.eval()).item() < first
    named = net.named_parameters(remove_duplicate=False)
    learned = {name for name, p in named if p.requires_grad}
    for name, value in net.state_dict().items():
        if name.startswith(("prior.", "text.pretrained.")) or name not in learned:
            assert torch.equal(value, before[name]), name
    assert not torch.equal(net.image_tower.local_out.weight, before["image_tower.local_out.weight"])
    assert sum(name.startswith("prior.") for name in before) == 5


def test_the_local_prior_is_not_wider_than_the_prior() -> None:
    with pytest.raises(ConfigError, match=r"prior_local_width: 49, but .* prior_width, 48"):
        HGANConfig(prior_width=48, prior_local_width=49)
