"""The frozen cache: the same if computed or read, and never that of another encoder."""

from pathlib import Path

import pytest
import torch

import hgan.data.batches.frozen_cache as module
from hgan.data.batches.frozen_cache import cached_states
from hgan.data.batches.tokens import tokenise
from hgan.locations import cache_folder
from hgan.text.transformer import TransformerEncoder, load_transformer
from tests.fixtures.tiny_model import tiny_tokenizer, write_tiny_bert

TEXTS = ["a red dog in the snow", "cat", "the blue horse runs on the grass", "white bird"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "ON_DISK_FROM", 2)
    return tmp_path / "cache"


def encoder(folder: Path, seed: int = 0, trainable: int = 1) -> TransformerEncoder:
    made, _ = load_transformer(str(write_tiny_bert(folder / f"bert{seed}", seed=seed)))
    made.freeze(trainable)
    return made


def rows(texts: list[str] = TEXTS) -> list[torch.Tensor]:
    return tokenise(tiny_tokenizer(), texts, 16)


def test_equal_one_caption_at_a_time(tmp_path: Path) -> None:
    made, tokens = encoder(tmp_path), rows()
    found = cached_states(made, tokens, 1)
    assert found is not None
    for ids, states in zip(tokens, found, strict=True):
        alone = made.pretrained_states(ids[None], torch.ones_like(ids)[None], 1)[0]
        assert states.dtype == torch.bfloat16
        torch.testing.assert_close(states.float(), alone, atol=0.02, rtol=0.01)


def test_the_second_time_the_cache_is_read(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, tokens = encoder(tmp_path), rows()
    first = cached_states(made, tokens, 1)
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(made, "pretrained_states", None)  # would raise if it were asked
    again = cached_states(made, tokens, 1)
    assert first is not None and again is not None
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_other_weights_layers_or_captions_have_a_file_of_their_own(
    tmp_path: Path, cache: Path
) -> None:
    cached_states(encoder(tmp_path), rows(), 1)
    cached_states(encoder(tmp_path, seed=1), rows(), 1)
    cached_states(encoder(tmp_path), rows(), 2)
    cached_states(encoder(tmp_path), rows([*TEXTS[:-1], "white dog"]), 1)
    assert len(list(cache.iterdir())) == 4


def test_a_damaged_file_is_computed_again(tmp_path: Path, cache: Path) -> None:
    made, tokens = encoder(tmp_path), rows()
    first = cached_states(made, tokens, 1)
    (file,) = cache.iterdir()
    content = file.read_bytes()
    one_bit = bytearray(content)
    one_bit[-40] ^= 8
    for damaged in (content[:-40], bytes(one_bit)):
        file.write_bytes(damaged)
        again = cached_states(made, tokens, 1)
        assert first is not None and again is not None
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
        assert file.read_bytes() == content


def test_without_a_cache_folder_the_states_are_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    monkeypatch.setenv("HGAN_CACHE", str(blocked / "cache"))
    assert cached_states(encoder(tmp_path), rows(), 1) is not None
    assert "the next run will compute it again" in " ".join(capsys.readouterr().err.split())


def test_a_too_large_cache_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT", 1000)
    assert cached_states(encoder(tmp_path), rows(), 1) is None


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HGAN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "hgan"
