"""The Bi-GRU: what it reads and skips, and a run with it from training to its checkpoint."""

import json
import random
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from hgan.config import TextConfig
from hgan.data.batches.augmentation import Augmenter
from hgan.data.batches.tokens import pad
from hgan.errors import ConfigError
from hgan.evaluation.evaluate import choose_weights
from hgan.export.bundle import TextNetwork
from hgan.model.hgan import HGANConfig
from hgan.model.io import TrainedModel, load_checkpoint
from hgan.model.matchers import build_matcher
from hgan.text.bigru import BiGRUEncoder
from hgan.text.build import is_pretrained, load_encoder
from hgan.text.vocabulary import SPECIALS
from hgan.training.trainer import Trainer
from hgan.vision.onnx_export import export_onnx
from tests.fixtures.tiny_model import tiny_config, tiny_dataset

WORDS, WORD_WIDTH, WIDTH = 40, 6, 5


def make_encoder(seed: int = 0) -> BiGRUEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return BiGRUEncoder(WORDS, WORD_WIDTH, WIDTH)


ENCODER = make_encoder()


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Ids and a mask of any form: rows of different lengths, with holes, or with nothing."""
    rows, longest = draw(st.integers(1, 5)), draw(st.integers(1, 8))
    bits = st.lists(st.booleans(), min_size=longest, max_size=longest)
    mask = torch.tensor(draw(st.lists(bits, min_size=rows, max_size=rows))).long()
    rng = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    return torch.randint(1, WORDS, mask.shape, generator=rng), mask


def naive_states(encoder: BiGRUEncoder, ids: Tensor, mask: Tensor) -> Tensor:
    """Each row's real tokens alone through torch's bidirectional GRU."""
    both = nn.GRU(WORD_WIDTH, WIDTH, batch_first=True, bidirectional=True)
    for half, suffix in ((encoder.rightward, ""), (encoder.leftward, "_reverse")):
        for name, weight in half.named_parameters():
            getattr(both, name + suffix).data.copy_(weight)
    states = torch.zeros(*ids.shape, WIDTH)
    for row, real, found in zip(ids, mask.bool(), states, strict=True):
        if real.any():
            out = both(encoder.embedding(row[real])[None])[0][0]  # (n, 2 D_t)
            found[real] = (out[:, :WIDTH] + out[:, WIDTH:]) / 2
    return states


@given(batches())
@torch.no_grad()
def test_states_are_those_of_each_row_alone(batch: tuple[Tensor, Tensor]) -> None:
    found = ENCODER(*batch)
    torch.testing.assert_close(found.states, naive_states(ENCODER, *batch))
    assert (found.states[batch[1] == 0] == 0).all()


@given(batches(), st.integers(0, 3), st.integers(1, WORDS - 1))
@torch.no_grad()
def test_what_is_masked_leaks_nowhere(batch: tuple[Tensor, Tensor], more: int, other: int) -> None:
    ids, mask = batch
    expected = ENCODER(ids, mask)
    changed = nn.functional.pad(torch.where(mask.bool(), ids, other), (0, more), value=other)
    found = ENCODER(changed, nn.functional.pad(mask, (0, more)))
    torch.testing.assert_close(found.states[:, : ids.shape[1]], expected.states)
    torch.testing.assert_close(found.context, expected.context)


@given(batches(), st.randoms(use_true_random=False))
@torch.no_grad()
def test_rows_go_in_any_order_and_alone(batch: tuple[Tensor, Tensor], rng: random.Random) -> None:
    ids, mask = batch
    order = list(range(len(ids)))
    rng.shuffle(order)
    expected = ENCODER(ids, mask).states
    torch.testing.assert_close(ENCODER(ids[order], mask[order]).states, expected[order])
    torch.testing.assert_close(ENCODER(ids[:1], mask[:1]).states, expected[:1])


def test_a_word_left_out_is_as_if_it_were_not_there() -> None:
    whole = ENCODER(torch.tensor([[1, 7, 8, 9, 2]]), torch.tensor([[1, 1, 0, 1, 1]]))
    without = ENCODER(torch.tensor([[1, 7, 9, 2]]), torch.ones(1, 4, dtype=torch.long))
    torch.testing.assert_close(whole.states[:, [0, 1, 3, 4]], without.states)
    torch.testing.assert_close(whole.context, without.context)


def test_a_row_of_nothing_gives_zeros_and_finite_gradients() -> None:
    encoder = make_encoder()
    found = encoder(torch.tensor([[5, 6, 7], [1, 6, 2]]), torch.tensor([[0, 0, 0], [1, 1, 1]]))
    assert (found.states[0] == 0).all() and (found.context[0] == 0).all()
    assert not found.words[0].any()
    (found.states.square().sum() + found.context.square().sum()).backward()
    for name, weight in encoder.named_parameters():
        assert weight.grad is not None and torch.isfinite(weight.grad).all(), name
        assert weight.grad.abs().sum() > 0, name
    touched = encoder.embedding.weight.grad.abs().sum(1).nonzero().flatten()
    assert touched.tolist() == [1, 2, 6]


def test_each_state_knows_of_the_whole_sentence() -> None:
    ids, mask = torch.tensor([[1, 7, 8, 2]]), torch.ones(1, 4, dtype=torch.long)
    states = ENCODER(ids, mask).states
    for place in range(4):
        other = ids.clone()
        other[0, place] = 9
        assert (ENCODER(other, mask).states != states).any(-1).all()


def test_markers_are_no_words_but_unknown_and_hidden_words_are() -> None:
    unknown = SPECIALS.index("<unk>")
    assert ENCODER.mask_id == unknown
    found = ENCODER(torch.tensor([[1, unknown, 9, 2, 0]]), torch.tensor([[1, 1, 1, 1, 0]]))
    assert found.words.tolist() == [[False, True, True, False, False]]
    torch.testing.assert_close(found.context[0], found.states[0, :4].mean(0))


def test_nothing_is_frozen() -> None:
    encoder = make_encoder()
    for trainable in (None, 1, 4):
        encoder.freeze(trainable)
        assert encoder.frozen_layers is None
        assert all(weight.requires_grad for weight in encoder.parameters())
    with pytest.raises(ConfigError, match=r"text\.trainable_layers: 0.*use null"):
        encoder.freeze(0)


def test_reduced_precision_stays_near() -> None:
    ids = torch.randint(4, WORDS, (6, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = ENCODER(ids, mask)
    torch.testing.assert_close(found.states.float(), ENCODER(ids, mask).states, atol=0.02, rtol=0.1)


# --- augmentation


def augmenter(words: int) -> Augmenter:
    return Augmenter(0.0, 1.0, ENCODER.mask_id, ENCODER.special_ids, words)


def test_any_word_can_take_the_place_of_another_but_no_special_can() -> None:
    batch = pad([torch.tensor([1, *[9] * 60, 2]) for _ in range(300)])
    found = augmenter(WORDS).texts(batch, torch.Generator().manual_seed(0))
    words = (batch.ids == 9) & (found.ids != ENCODER.mask_id)
    assert set(found.ids[words].tolist()) == set(range(4, WORDS))


def test_words_are_hidden_where_all_are_unknown() -> None:
    batch = pad([torch.tensor([1, 3, 3, 3, 2])] * 20)
    found = augmenter(len(SPECIALS)).texts(batch, torch.Generator().manual_seed(0))
    assert torch.equal(found.ids, batch.ids) and (found.mask < batch.mask).any()


# --- export


@pytest.mark.slow
def test_an_exported_network_gives_what_torch_gives(tmp_path: Path) -> None:
    """For batches of other sizes than the traced one, and masks with holes."""
    torch.manual_seed(0)
    config = HGANConfig(width=12, node_width=8, slots=2, slot_width=4, local_width=4)
    matcher = build_matcher(config, 16, make_encoder()).eval()
    matcher.text_tower.freeze_pooling(20)
    network = TextNetwork(matcher)
    ids = torch.randint(4, WORDS, (2, 9))
    inputs = {"ids": ids, "mask": torch.ones_like(ids)}
    free = dict.fromkeys(inputs, ("batch", "words"))
    outputs = ["context", "slots", "local", "local_mask"]
    export_onnx(network, inputs, free, outputs, tmp_path / "text.onnx")
    session = onnxruntime.InferenceSession(
        tmp_path / "text.onnx", providers=["CPUExecutionProvider"]
    )
    for rows, words in ((1, 3), (1, 20), (3, 2), (7, 12)):
        ids = torch.randint(4, WORDS, (rows, words))
        mask = (torch.rand(rows, words) < 0.7).long()
        mask[:, 0] = 1
        with torch.inference_mode():
            expected = [value.numpy() for value in network(ids, mask)]
        found = session.run(outputs, {"ids": ids.numpy(), "mask": mask.numpy()})
        for one, other in zip(expected, found, strict=True):
            np.testing.assert_allclose(other, one, atol=1e-5)
        assert np.abs(expected[0]).max() > 0.1


# --- a run


@pytest.mark.slow
def test_a_run_learns_and_its_checkpoint_gives_the_same_vectors(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, text={"encoder": "bigru", "trainable_layers": None})
    trainer = Trainer(config, resume=False)
    result = trainer.run(stop_after=None)
    first, last = trainer.history
    assert last["loss"] < first["loss"]
    best = load_checkpoint(result.best)
    _, (metrics,) = choose_weights(best.network, tiny_dataset(config, best, "val"))
    assert metrics["S"].rsum == pytest.approx(result.rsum)

    trained = trainer.averaged.module.eval()
    tokenizer, boxes = trainer.model.tokenizer, trainer.model.boxes
    model = TrainedModel(trained, tokenizer, config.vision, config.text, boxes)
    model.save_pretrained(tmp_path / "kept")
    loaded = load_checkpoint(tmp_path / "kept")
    assert isinstance(loaded.network.text, BiGRUEncoder)
    batch = tiny_dataset(config, loaded, "test").texts(range(12))
    same = tiny_dataset(config, model, "test").texts(range(12))
    assert torch.equal(batch.ids, same.ids) and (batch.ids > 3).any()
    with torch.inference_mode():
        expected, found = trained.encode_text(batch), loaded.network.encode_text(batch)
    for name in ("context", "slots", "local", "mask"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name


def test_the_vocabulary_of_a_run_knows_no_word_of_val_or_test(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, text={"encoder": "bigru", "trainable_layers": None})
    lines = [json.loads(line) for line in config.data.captions.read_text().splitlines()]
    for line in lines:
        line["captions"] = [f"{text} {line['split']}word" for text in line["captions"]]
    config.data.captions.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    known = Trainer(config, resume=False).model.tokenizer.get_vocab()
    assert "trainword" in known and not {"valword", "testword"} & set(known)


def test_hidden_width_is_the_fields_unless_told_otherwise() -> None:
    encoder = BiGRUEncoder(10)
    assert encoder.width == 1024 and encoder.embedding.embedding_dim == 300
    found = encoder(torch.tensor([[1, 4, 2]]), torch.ones(1, 3, dtype=torch.long))
    assert found.states.shape == (1, 3, 1024) and found.context.shape == (1, 1024)


def test_a_bigru_is_not_pretrained_and_says_so() -> None:
    encoder = BiGRUEncoder(words=12, word_width=6, width=8)
    with pytest.raises(ConfigError, match=r"model\.prior: the text encoder is not pretrained"):
        encoder.keep_pretrained(None)
    config = TextConfig(encoder="bigru", trainable_layers=None)
    assert not is_pretrained(config) and is_pretrained(TextConfig())
    with pytest.raises(ConfigError, match=r"model\.prior none"):
        load_encoder(config, ["a dog"], keep_pretrained=True)
