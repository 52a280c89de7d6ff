"""Texts of many threads in one batch: the same rows as alone, also beside invalid ones."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from hgan.errors import DataError
from hgan.serve.batching import BatchingBundle

TEXTS = ["red", "two dogs in the green snow", "a blue photo", "b c d e f g h i j k l m n o p", "🐕"]


def same(one, other):
    for name in ("context", "slots", "local", "mask"):
        first, second = getattr(one, name), getattr(other, name)
        assert first.shape == second.shape
        np.testing.assert_allclose(first, second, atol=1e-6)


def test_rows_are_those_of_each_text_alone(bundle):
    sizes = []
    batching = BatchingBundle(bundle, 0.2, sizes.append)
    with ThreadPoolExecutor(len(TEXTS)) as pool:
        found = list(pool.map(lambda text: batching.encode_texts([text]), TEXTS))
    for text, encoded in zip(TEXTS, found, strict=True):
        same(encoded, bundle.encode_texts([text]))
    assert sum(sizes) == len(TEXTS)
    assert len(sizes) < len(TEXTS)


def test_several_texts_of_one_thread_and_none(bundle):
    batching = BatchingBundle(bundle, 0.0)
    same(batching.encode_texts(TEXTS), bundle.encode_texts(TEXTS))
    same(batching.encode_texts([]), bundle.encode_texts([]))


def test_a_text_without_words_does_not_fail_the_batch(bundle):
    batching = BatchingBundle(bundle, 0.2)
    with ThreadPoolExecutor(2) as pool:
        bad, good = (pool.submit(batching.encode_texts, [text]) for text in ("", "red"))
        with pytest.raises(DataError, match="no words"):
            bad.result()
        same(good.result(), bundle.encode_texts(["red"]))


def test_all_are_told_where_the_model_fails(bundle, monkeypatch):
    batching = BatchingBundle(bundle, 0.2)

    def broken(_texts):
        raise MemoryError("too many")

    monkeypatch.setattr(bundle, "encode_texts", broken)
    with ThreadPoolExecutor(3) as pool:
        for asked in [pool.submit(batching.encode_texts, ["red"]) for _ in range(3)]:
            with pytest.raises(MemoryError):
                asked.result(timeout=10)
    monkeypatch.undo()
    same(batching.encode_texts(["red"]), bundle.encode_texts(["red"]))
