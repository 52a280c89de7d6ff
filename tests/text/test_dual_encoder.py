"""The text tower of a dual encoder: states and embeddings equal those of `transformers`."""

from pathlib import Path

import onnxruntime
import pytest
import torch
import transformers as hf
from tokenizers import Tokenizer
from torch import Tensor, nn

from hgan.config import TextConfig
from hgan.data.batches.augmentation import Augmenter
from hgan.data.batches.tokens import pad, tokenise
from hgan.data.batches.types import TextBatch
from hgan.errors import ConfigError
from hgan.text.build import build_encoder, load_encoder
from hgan.text.dual_encoder import DualTextEncoder
from hgan.vision.onnx_export import export_onnx
from tests.fixtures.dual_encoders import MODELS, TEXTS, WORDS, write_dual_encoder

NAMES = ["clip", *(pytest.param(n, marks=pytest.mark.slow) for n in list(MODELS)[1:])]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    for name in MODELS:
        write_dual_encoder(name, root / name)
    return root


def load(folder: Path, layers: int | None = 1) -> tuple[DualTextEncoder, Tokenizer]:
    config = TextConfig(str(folder), trainable_layers=layers, max_words=WORDS)
    encoder, tokenizer = load_encoder(config, [])
    assert isinstance(encoder, DualTextEncoder)
    return encoder.eval(), tokenizer


@torch.inference_mode()
def own(folder: Path, text: str) -> tuple[Tensor, Tensor]:
    """States (W, D_t) without padding and the embedding (P) of one text by `transformers`."""
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    model = hf.AutoModel.from_pretrained(folder).eval()
    pads = model.config.model_type == "siglip"
    words = tokenizer(
        text, padding="max_length" if pads else False, truncation=True, max_length=WORDS,
        return_tensors="pt",
    )  # fmt: skip
    found = model.get_text_features(**words)
    real = len(tokenizer(text, truncation=True, max_length=WORDS)["input_ids"])
    return found.last_hidden_state[0, :real], found.pooler_output[0]


@pytest.mark.parametrize("name", NAMES)
def test_states_and_embeddings_equal_those_of_transformers(models: Path, name: str) -> None:
    """Also beside longer texts, whose padding no text may notice."""
    encoder, tokenizer = load(models / name)
    batch = pad(tokenise(tokenizer, TEXTS, WORDS))
    with torch.inference_mode():
        found = encoder(batch.ids, batch.mask)
    assert encoder.width == found.states.shape[2]
    assert encoder.context_width == found.context.shape[1]
    for row, text in enumerate(TEXTS):
        states, embedding = own(models / name, text)
        real = batch.mask[row].bool()
        torch.testing.assert_close(found.states[row][real], states, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(found.context[row], embedding, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_words_are_tokens_that_are_not_special(models: Path, name: str) -> None:
    encoder, tokenizer = load(models / name)
    batch = pad(tokenise(tokenizer, ["a dog in the snow", "two cats"], WORDS))
    found = encoder(batch.ids, batch.mask)
    special = [e.special_tokens_mask for e in tokenizer.encode_batch(["a dog in the snow"])]
    assert found.words[0].tolist() == [not s for s in special[0]]
    assert not (found.words & ~batch.mask.bool()).any() and found.words.any(1).all()
    assert encoder.mask_id is None


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_a_text_without_some_words_is_read_as_if_they_were_not_written(
    models: Path, name: str
) -> None:
    encoder, tokenizer = load(models / name)
    text = "two cats sit on a red car"
    [ids] = tokenise(tokenizer, [text], WORDS)
    special = encoder.special_ids
    words = [i for i, token in enumerate(ids.tolist()) if token not in special.tolist()]
    augmenter = Augmenter(0.0, 0.5, encoder.mask_id, special, tokenizer.get_vocab_size())
    batch = augmenter.texts(pad([ids, ids[:3]]), torch.Generator().manual_seed(3))
    left = batch.ids[0][batch.mask[0].bool()]
    assert len(words) > len(left) - (len(ids) - len(words)) > 0, "some words are left"
    rest = iter(ids.tolist())
    assert all(token in rest for token in left.tolist()), "in the same order"
    alone = TextBatch(left[None], torch.ones_like(left)[None])
    with torch.inference_mode():
        found, expected = (encoder(b.ids, b.mask) for b in (batch, alone))
    torch.testing.assert_close(found.context[0], expected.context[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_only_the_top_is_trained(models: Path, name: str) -> None:
    encoder, _ = load(models / name, layers=1)
    layers = encoder._layers()
    trained = {p for p in encoder.parameters() if p.requires_grad}
    assert len(layers) == 2
    assert trained >= set(layers[1].parameters()) and trained.isdisjoint(layers[0].parameters())
    above = trained - set(layers[1].parameters())
    assert above, "the projection is trained too"
    ids = torch.randint(3, 20, (2, 6))
    encoder(ids, torch.ones_like(ids)).context.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in above)
    encoder.freeze(0)
    assert not any(p.requires_grad for p in encoder.parameters())
    encoder.freeze(None)
    assert all(p.requires_grad for p in encoder.parameters())
    with pytest.raises(ConfigError, match=r"trainable_layers: 3, but the encoder has only 2"):
        encoder.freeze(3)


@pytest.mark.parametrize("name", NAMES)
def test_an_encoder_is_built_from_its_description(models: Path, name: str) -> None:
    encoder, tokenizer = load(models / name)
    again = build_encoder(encoder.describe(), Tokenizer.from_str(tokenizer.to_str()))
    assert isinstance(again, DualTextEncoder)
    again.load_state_dict(encoder.state_dict(), strict=True)
    batch = pad(tokenise(tokenizer, TEXTS, WORDS))
    with torch.inference_mode():
        one, other = (each.eval()(batch.ids, batch.mask) for each in (encoder, again))
    assert torch.equal(one.context, other.context) and torch.equal(one.states, other.states)
    assert torch.equal(one.words, other.words)
    absent = "vision", "visual", "logit"
    assert not any(word in key for key in again.state_dict() for word in absent)


class Embeddings(nn.Module):
    """The embeddings alone, which ONNX can return."""

    def __init__(self, encoder: DualTextEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.encoder(ids, mask).context


@pytest.mark.slow
@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_an_exported_tower_takes_any_number_of_texts_and_words(
    models: Path, tmp_path: Path, name: str
) -> None:
    encoder, tokenizer = load(models / name)
    batch = pad(tokenise(tokenizer, TEXTS[:2], WORDS))
    dynamic = dict.fromkeys(("ids", "mask"), ("batch", "words"))
    file, net = tmp_path / "text.onnx", Embeddings(encoder)
    export_onnx(net, {"ids": batch.ids, "mask": batch.mask}, dynamic, ["context"], file)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    for texts in (TEXTS, TEXTS[:1], TEXTS[1:]):
        batch = pad(tokenise(tokenizer, texts, WORDS))
        [found] = session.run(None, {"ids": batch.ids.numpy(), "mask": batch.mask.numpy()})
        with torch.inference_mode():
            expected = net(batch.ids, batch.mask)
        torch.testing.assert_close(torch.from_numpy(found), expected, atol=1e-4, rtol=1e-4)


def test_the_temperature_is_the_models_own(models: Path) -> None:
    model = hf.AutoModel.from_pretrained(models / "siglip")
    encoder, _ = load(models / "siglip")
    assert encoder.temperature == pytest.approx(1 / model.logit_scale.exp().item())


def test_captions_longer_than_the_tower_reads_are_refused(models: Path) -> None:
    config = TextConfig(str(models / "clip"), max_words=WORDS + 1)
    with pytest.raises(ConfigError, match=rf"max_words: {WORDS + 1}, but .* at most {WORDS} tok"):
        load_encoder(config, [])


def test_soft_targets_are_refused(models: Path) -> None:
    encoder, _ = load(models / "clip")
    ids = torch.ones(1, 3).long()
    with pytest.raises(ConfigError, match=r"loss.soft_temperature"):
        encoder.pretrained_states(ids, ids, None)
