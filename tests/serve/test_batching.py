"""Texts of many threads in one batch: the same rows as alone, also beside invalid ones."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from time import sleep

import numpy as np
import pytest

from hgan.errors import DataError
from hgan.serve.batching import BatchingBundle

TEXTS = ["red", "two dogs in the green snow", "a blue photo", "b c d e f g h i j k l m n o p", "🐕"]


class Gate:
    """Observes the batches, and holds the first one until others wait behind it."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.entered, self.opened = Event(), Event()

    def __call__(self, texts: int) -> None:
        self.sizes.append(texts)
        self.entered.set()
        assert self.opened.wait(10)


def behind(bundle, texts: list[str], check: Callable[[list[Future]], None]) -> list[int]:
    """Encode each text in a thread while another batch is held; returns the sizes of the batches
    after that."""
    gate = Gate()
    batching = BatchingBundle(bundle, gate)
    with ThreadPoolExecutor(1 + len(texts)) as pool:
        pool.submit(batching.encode_texts, ["first"])
        assert gate.entered.wait(10)
        asked = [pool.submit(batching.encode_texts, [text]) for text in texts]
        valid = sum(text != "" for text in texts)
        while len(batching._waiting) < valid:
            sleep(0.001)
        gate.opened.set()
        check(asked)
    return gate.sizes[1:]


def same(one, other):
    for name in ("context", "slots", "local", "mask"):
        first, second = getattr(one, name), getattr(other, name)
        assert first.shape == second.shape
        np.testing.assert_allclose(first, second, atol=1e-6)


def test_rows_are_those_of_each_text_alone(bundle):
    def check(asked):
        for text, found in zip(TEXTS, asked, strict=True):
            same(found.result(10), bundle.encode_texts([text]))

    assert behind(bundle, TEXTS, check) == [len(TEXTS)]


def test_several_texts_of_one_thread_and_none(bundle):
    batching = BatchingBundle(bundle)
    same(batching.encode_texts(TEXTS), bundle.encode_texts(TEXTS))
    same(batching.encode_texts([]), bundle.encode_texts([]))


def test_a_text_without_words_does_not_fail_the_batch(bundle):
    def check(asked):
        with pytest.raises(DataError, match="no words"):
            asked[0].result(10)
        same(asked[1].result(10), bundle.encode_texts(["red"]))

    assert behind(bundle, ["", "red"], check) == [1]


def test_all_are_told_where_the_model_fails(bundle, monkeypatch):
    def broken(_texts):
        raise MemoryError("too many")

    def check(asked):
        for one in asked:
            with pytest.raises(MemoryError):
                one.result(10)

    monkeypatch.setattr(bundle, "encode_texts", broken)
    assert behind(bundle, ["red"] * 3, check) == [3]
    monkeypatch.undo()
    same(BatchingBundle(bundle).encode_texts(["red"]), bundle.encode_texts(["red"]))
