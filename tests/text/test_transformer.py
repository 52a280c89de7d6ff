"""Text encoders: freezing that freezes, states kept ahead, words told from special tokens."""

import shutil
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import DistilBertConfig, DistilBertModel, ElectraConfig, ElectraModel

from hgan.data.batches.tokens import pad, tokenise
from hgan.data.batches.types import TextBatch
from hgan.errors import ConfigError
from hgan.text.transformer import TransformerEncoder, build_transformer, load_transformer
from tests.fixtures.tiny_model import write_tiny_bert

TEXTS = ["a red dog in the snow", "the blue cat", "horse", "a white bird runs on the street at a z"]
LAYERS = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bert(tmp_path_factory.mktemp("encoder") / "bert", layers=LAYERS)


@pytest.fixture
def loaded(folder: Path) -> tuple[TransformerEncoder, Tokenizer]:
    return load_transformer(str(folder))


def batch(tokenizer: Tokenizer, texts: list[str] = TEXTS, max_words: int = 32) -> TextBatch:
    return pad(tokenise(tokenizer, texts, max_words))


@pytest.mark.parametrize("trainable", range(LAYERS + 1))
def test_states_kept_ahead_equal_the_full_path(
    loaded: tuple[TransformerEncoder, Tokenizer], trainable: int
) -> None:
    encoder, tokenizer = loaded
    encoder.freeze(trainable)
    tokens = batch(tokenizer)
    full = encoder(tokens.ids, tokens.mask)
    states = encoder.pretrained_states(tokens.ids, tokens.mask, encoder.frozen_layers)
    ahead = encoder(tokens.ids, tokens.mask, states)
    real = tokens.mask.bool()
    assert torch.equal(ahead.states[real], full.states[real])
    assert torch.equal(ahead.context, full.context)
    assert torch.equal(ahead.words, full.words)


def train(encoder: TransformerEncoder) -> None:
    """Change all parameters that are trained."""
    with torch.no_grad():
        for parameter in encoder.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn_like(parameter))


@pytest.mark.parametrize("trainable", [0, 1, LAYERS, None])
def test_pretrained_layers_are_kept_when_the_others_have_changed(
    loaded: tuple[TransformerEncoder, Tokenizer], trainable: int | None
) -> None:
    encoder, tokenizer = loaded
    tokens = batch(tokenizer)
    untrained = encoder(tokens.ids, tokens.mask)
    assert untrained.pretrained is None
    encoder.freeze(trainable)
    encoder.keep_pretrained(trainable)
    train(encoder)
    found = encoder(tokens.ids, tokens.mask)
    real = tokens.mask.bool()
    torch.testing.assert_close(found.pretrained[real], untrained.states[real], atol=1e-6, rtol=0)
    changed = (found.states[real] - untrained.states[real]).abs().max().item()
    assert changed == 0 if trainable == 0 else changed > 0.1
    assert not found.pretrained.requires_grad
    assert all(not p.requires_grad for n, p in encoder.named_parameters() if "pretrained" in n)


@pytest.mark.parametrize("trainable", [0, 1, LAYERS, None])
def test_each_combination_of_caches_gives_the_same(
    loaded: tuple[TransformerEncoder, Tokenizer], trainable: int | None
) -> None:
    """The frozen layers are computed once for both encoders; the naive twin runs them twice."""
    encoder, tokenizer = loaded
    encoder.freeze(trainable)
    encoder.keep_pretrained(trainable)
    train(encoder)
    tokens = batch(tokenizer)
    states = encoder.encode(tokens.ids, tokens.mask, None)
    pretrained = encoder.pretrained_states(tokens.ids, tokens.mask, None)
    frozen = None
    if encoder.frozen_layers is not None:
        frozen = encoder.pretrained_states(tokens.ids, tokens.mask, encoder.frozen_layers)
    real = tokens.mask.bool()
    for caches in ((None, None), (frozen, None), (None, pretrained), (frozen, pretrained)):
        found = encoder(tokens.ids, tokens.mask, *caches)
        torch.testing.assert_close(found.states[real], states[real], atol=1e-6, rtol=0)
        torch.testing.assert_close(found.pretrained[real], pretrained[real], atol=1e-6, rtol=0)


def test_embeddings_narrower_than_the_layers_are_projected() -> None:
    """As in ELECTRA."""
    torch.manual_seed(0)
    config = ElectraConfig(
        vocab_size=40, embedding_size=8, hidden_size=16, num_hidden_layers=3,
        num_attention_heads=2, intermediate_size=16, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    config._attn_implementation = "eager"
    encoder = TransformerEncoder(ElectraModel(config).eval(), [0], 4)
    encoder.freeze(1)
    ids, mask = torch.tensor([[2, 7, 9, 3], [2, 8, 3, 0]]), torch.tensor([[1] * 4, [1, 1, 1, 0]])
    expected = encoder.transformer(ids, mask, output_hidden_states=True).hidden_states
    real = mask.bool()
    for layers in (0, 2, 3):
        found = encoder.pretrained_states(ids, mask, layers)
        torch.testing.assert_close(found[real], expected[layers][real])


def test_the_folder_that_is_named_is_what_is_loaded(tmp_path: Path) -> None:
    """A path is no hint: weights, widths and words are those of its files."""
    for layers in (1, 2):
        folder = write_tiny_bert(tmp_path / f"bert{layers}", layers=layers)
        encoder, tokenizer = load_transformer(str(folder))
        assert encoder.transformer.config.num_hidden_layers == layers
        saved = load_file(folder / "model.safetensors")
        found = encoder.transformer.state_dict()
        kept = [name for name in saved if not name.startswith("pooler.")]
        assert len(kept) > 10 and all(torch.equal(found[name], saved[name]) for name in kept)
        assert tokenizer.token_to_id("dog") is not None


@pytest.mark.parametrize("trainable", range(LAYERS + 1))
def test_frozen_layers_are_frozen_and_the_others_are_not(
    loaded: tuple[TransformerEncoder, Tokenizer], trainable: int
) -> None:
    """Setting `requires_grad` on a module freezes nothing; it is the parameters that count."""
    encoder, tokenizer = loaded
    encoder.freeze(trainable)
    tokens = batch(tokenizer)
    found = encoder(tokens.ids, tokens.mask)
    if trainable:
        found.states.square().sum().backward()
    trained = {f"encoder.layer.{i}." for i in range(LAYERS - trainable, LAYERS)}
    for name, parameter in encoder.transformer.named_parameters():
        expected = any(name.startswith(layer) for layer in trained)
        assert parameter.requires_grad == expected, name
        assert (parameter.grad is not None) == expected, name


def test_null_trains_everything_the_embeddings_too(
    loaded: tuple[TransformerEncoder, Tokenizer],
) -> None:
    encoder, tokenizer = loaded
    encoder.freeze(None)
    tokens = batch(tokenizer)
    encoder(tokens.ids, tokens.mask).states.square().sum().backward()
    assert encoder.frozen_layers is None
    gradients = {n: p.grad for n, p in encoder.transformer.named_parameters()}
    assert all(g is not None for g in gradients.values())
    assert gradients["embeddings.word_embeddings.weight"].abs().sum() > 0


def test_more_layers_than_there_are_cannot_be_trained(
    loaded: tuple[TransformerEncoder, Tokenizer],
) -> None:
    with pytest.raises(ConfigError, match=r"trainable_layers: 4, but the encoder has only 3"):
        loaded[0].freeze(LAYERS + 1)


def test_an_encoder_without_a_list_of_layers_says_what_to_do(
    loaded: tuple[TransformerEncoder, Tokenizer],
) -> None:
    config = DistilBertConfig(vocab_size=40, dim=16, n_layers=1, n_heads=2, hidden_dim=16)
    encoder = TransformerEncoder(DistilBertModel(config), [0], 4)
    with pytest.raises(ConfigError, match="use null"):
        encoder.freeze(1)
    tokens = batch(loaded[1])
    ids = tokens.ids.clamp_max(39)
    assert encoder(ids, tokens.mask).states.shape == (4, tokens.ids.shape[1], 16)


def test_special_tokens_and_padding_are_no_words(
    loaded: tuple[TransformerEncoder, Tokenizer],
) -> None:
    encoder, tokenizer = loaded
    tokens = batch(tokenizer)
    found = encoder(tokens.ids, tokens.mask)
    for i, text in enumerate(TEXTS):
        words = [tokenizer.id_to_token(t) for t in tokens.ids[i][found.words[i]].tolist()]
        assert words == tokenizer.encode(text, add_special_tokens=False).tokens


def test_the_context_is_the_mean_over_real_tokens(
    loaded: tuple[TransformerEncoder, Tokenizer],
) -> None:
    encoder, tokenizer = loaded
    tokens = batch(tokenizer)
    found = encoder(tokens.ids, tokens.mask)
    for i in range(len(TEXTS)):
        real = found.states[i, : int(tokens.mask[i].sum())]
        torch.testing.assert_close(found.context[i], real.mean(0))


def test_a_masked_word_is_still_a_word(loaded: tuple[TransformerEncoder, Tokenizer]) -> None:
    encoder, tokenizer = loaded
    assert tokenizer.id_to_token(encoder.mask_id) == "[MASK]"
    tokens = batch(tokenizer)
    tokens.ids[0, 2] = encoder.mask_id
    assert encoder(tokens.ids, tokens.mask).words[0, 2]


def test_long_captions_are_cut_and_keep_the_last_special_token(
    loaded: tuple[TransformerEncoder, Tokenizer],
) -> None:
    tokenizer = loaded[1]
    short, long = tokenise(tokenizer, ["a dog", "dog " * 10_000], max_words=12)
    assert len(short) == 4 and len(long) == 12
    sep = tokenizer.token_to_id("[SEP]")
    assert long[0] == tokenizer.token_to_id("[CLS]") and long[-1] == sep
    assert (long[1:-1] == tokenizer.token_to_id("dog")).all()
    both = pad([short, long])
    assert both.ids.shape == (2, 12) and both.mask.sum(1).tolist() == [4, 12]
    (exact,) = tokenise(tokenizer, ["dog " * 10], max_words=12)
    assert torch.equal(exact, long)


@pytest.mark.parametrize("text", ["🐕❄️🎿", "雪地里的狗", "\u200d", "", "Ünïcödé dög"])
def test_captions_of_any_script_are_encoded(
    loaded: tuple[TransformerEncoder, Tokenizer], text: str
) -> None:
    encoder, tokenizer = loaded
    tokens = batch(tokenizer, [text, "a dog"])
    found = encoder(tokens.ids, tokens.mask)
    assert torch.isfinite(found.states).all() and torch.isfinite(found.context).all()
    words = found.words[0].sum()
    assert words > 0 if text.strip("\u200d") else words == 0


def test_nothing_is_left_to_chance_in_training_mode(
    loaded: tuple[TransformerEncoder, Tokenizer],
) -> None:
    """Words are dropped as augmentation; dropout inside would make states kept ahead differ."""
    encoder, tokenizer = loaded
    tokens = batch(tokenizer)
    encoder.train()
    first, second = (encoder(tokens.ids, tokens.mask).states for _ in range(2))
    assert torch.equal(first, second)


def test_an_encoder_rebuilt_from_its_configuration_takes_the_weights(
    loaded: tuple[TransformerEncoder, Tokenizer],
) -> None:
    encoder, tokenizer = loaded
    again = build_transformer(encoder.transformer.config.to_dict(), tokenizer)
    again.load_state_dict(encoder.state_dict(), strict=True)
    tokens = batch(tokenizer)
    one, other = encoder.eval()(tokens.ids, tokens.mask), again.eval()(tokens.ids, tokens.mask)
    assert torch.equal(one.states, other.states) and torch.equal(one.words, other.words)


@pytest.mark.parametrize("damage", ["no such folder", "empty", "no weights", "weights", "config"])
def test_an_encoder_that_cannot_be_loaded_is_an_error_of_the_settings(
    folder: Path, tmp_path: Path, damage: str
) -> None:
    target = tmp_path / "encoder"
    if damage == "empty":
        target.mkdir()
    elif damage != "no such folder":
        shutil.copytree(folder, target)
    if damage == "no weights":
        (target / "model.safetensors").unlink()
    if damage == "weights":
        (target / "model.safetensors").write_bytes(b"not weights")
    if damage == "config":
        (target / "config.json").write_text("{")
    with pytest.raises(ConfigError, match=r"text\.encoder"):
        load_transformer(str(target))


def test_a_name_is_refused_at_once_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    start = time.monotonic()
    with pytest.raises(ConfigError, match=r"someone/none: .* cannot be reached.*use minilm"):
        load_transformer("someone/none")
    assert time.monotonic() - start < 5  # transformers tries it for half a minute


def test_minilm_loads_offline() -> None:
    encoder, tokenizer = load_transformer("minilm")
    assert encoder.width == 384 and len(encoder.transformer.encoder.layer) == 6
    tokens = batch(tokenizer, ["a dog runs", "two dogs running", "stock market report"])
    with torch.inference_mode():
        context = torch.nn.functional.normalize(encoder(tokens.ids, tokens.mask).context, dim=-1)
    near, far = (context[0] @ context[1]).item(), (context[0] @ context[2]).item()
    assert near > 0.5 > 0.3 > far
