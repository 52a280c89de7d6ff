"""What every store must do, run for each engine of `conftest.py`."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hgan.errors import IndexingError
from hgan.index.conditions.filter import Filter
from hgan.index.conditions.types import Camera, Condition, Folder, Has, Tag
from hgan.index.shard import Shard
from hgan.index.store.bucket import BUCKETS, bucket_of
from hgan.index.store.contract import DamagedError, Entry, Point
from hgan.index.store.payload import COUNTED, Widths, counted, to_payload
from tests.fixtures.conditions import passes, taken, trees
from tests.fixtures.points import (
    DENSE,
    EIGHT_BITS,
    HALF,
    LOCAL,
    TAGS,
    maxsim,
    points,
    unit,
)

LEAVES: st.SearchStrategy[Condition] = st.one_of(
    st.sampled_from(["0", "1/sub 0", "sub 1", ""]).map(Folder),
    taken(st.integers(-8, 60).map(lambda n: n * 10_000_000)),
    st.sampled_from(["canon", "5d", "can", "canon eos"]).map(
        lambda name: Camera(tuple(name.split()))
    ),
    st.sampled_from([*TAGS, "sun"]).map(Tag),
    st.sampled_from(["camera", "tag", "taken"]).map(Has),
)
"""Conditions that some of the points meet."""


def test_new_store_is_empty(open_store):
    with open_store() as store:
        assert store.count() == 0
        assert list(store.entries()) == []
        assert store.search(np.ones(DENSE), 5) == []
        assert store.rescore(np.ones((2, LOCAL)), []) == {}
        assert store.fetch([]) == []


def test_entries_come_back_whole(open_store):
    stored = points(30)
    with open_store() as store:
        store.upsert(stored)
        assert store.count() == 30
        assert sorted(store.entries(), key=lambda e: e.size) == [p.entry for p in stored]


def test_entries_of_some_ids(open_store):
    stored = points(30)
    ids = [stored[i].entry.id for i in (7, 2, 5)]
    with open_store() as store:
        store.upsert(stored)
        found = store.entries([*ids, Entry("gone.jpg", 0, 0, "").id])
        assert {entry.id: entry for entry in found} == {
            stored[i].entry.id: stored[i].entry for i in (7, 2, 5)
        }
        assert list(store.entries([])) == []


def test_entries_of_some_buckets(open_store):
    """The server and the naive filter agree; points of an older version have no bucket."""
    stored = points(200)
    parts = [Shard(number, 7).buckets for number in range(1, 8)]
    with open_store() as store, pytest.MonkeyPatch.context() as patch:
        store.upsert(stored[:150])
        patch.setattr(Widths, "payload", lambda _, point: to_payload(point.entry))
        store.upsert(stored[150:])
        for buckets in parts:
            found = sorted(entry.path for entry in store.entries(buckets=buckets))
            expected = [p.entry.path for p in stored if bucket_of(p.entry.path) in buckets]
            assert found == sorted(expected)
    assert [bucket for buckets in parts for bucket in buckets] == list(range(BUCKETS))


@pytest.mark.slow
def test_more_entries_than_a_page(open_store):
    with open_store(dense=2, local=0) as store:
        stored = points(4500, dense=2, local=0)
        store.upsert(stored)
        assert {entry.id for entry in store.entries()} == {point.entry.id for point in stored}


def test_search_is_the_inner_product(open_store):
    stored, query = points(50), unit(np.random.default_rng(9).normal(size=DENSE))
    expected = {point.entry.id: float(point.dense @ query) for point in stored}
    with open_store() as store:
        store.upsert(stored)
        found = store.search(query, 50)
        assert [m.score for m in found] == sorted((m.score for m in found), reverse=True)
        assert {m.id for m in found} == set(expected)
        for match in found:
            assert match.score == pytest.approx(expected[match.id], abs=HALF)
        assert [m.id for m in store.search(query, 7)] == [m.id for m in found[:7]]
        assert store.search(query, 7, exact=True) == found[:7]
        assert store.search(query, 0) == []


def test_rescore_is_maxsim(open_store):
    stored, words = points(40), unit(np.random.default_rng(8).normal(size=(7, LOCAL)))
    chosen = stored[3:33:2]
    with open_store() as store:
        store.upsert(stored)
        found = store.rescore(words, [point.entry.id for point in chosen])
        assert set(found) == {point.entry.id for point in chosen}
        for point in chosen:
            expected = maxsim(words, point.local)
            assert found[point.entry.id] == pytest.approx(expected, abs=len(words) * HALF)


def test_rescore_knows_only_what_is_there(open_store):
    stored = points(3)
    with open_store() as store:
        store.upsert(stored[:2])
        found = store.rescore(np.ones((1, LOCAL)), [point.entry.id for point in stored])
        assert set(found) == {point.entry.id for point in stored[:2]}


def test_fetch_keeps_the_order(open_store):
    stored = points(10)
    ids = [stored[i].entry.id for i in (7, 2, 5)]
    with open_store() as store:
        store.upsert(stored)
        found = store.fetch([ids[0], Entry("gone.jpg", 0, 0, "").id, *ids[1:]], local=True)
        assert [point.entry.id for point in found] == ids
        for point, number in zip(found, (7, 2, 5), strict=True):
            assert point.entry == stored[number].entry
            np.testing.assert_allclose(point.dense, stored[number].dense, atol=HALF)
            np.testing.assert_allclose(point.local, stored[number].local, atol=HALF)
        assert store.fetch(ids)[0].local.size == 0


def test_upsert_replaces(open_store):
    old, new = points(5), points(5, seed=1)
    with open_store() as store:
        store.upsert(old)
        store.upsert(new[:2])
        assert store.count() == 5
        for i, point in enumerate(store.fetch([p.entry.id for p in old], local=True)):
            expected = (new if i < 2 else old)[i]
            np.testing.assert_allclose(point.dense, expected.dense, atol=HALF)
            np.testing.assert_allclose(point.local, expected.local, atol=HALF)


def test_delete(open_store):
    stored = points(6)
    with open_store() as store:
        store.upsert(stored)
        store.delete([stored[1].entry.id, stored[4].entry.id, Entry("never.jpg", 0, 0, "").id])
        store.delete([])
        left = {point.entry.id for i, point in enumerate(stored) if i not in (1, 4)}
        assert store.count() == 4
        assert {entry.id for entry in store.entries()} == left
        assert {m.id for m in store.search(np.ones(DENSE), 10)} == left


@pytest.mark.parametrize(
    "conditions",
    [
        ["folder=1"],
        ["folder=1/sub 0"],
        ["folder=sub 0"],
        ["folder=nowhere"],
        ["taken>=1970-02"],
        ["taken<1970"],
        ["taken>=1969-12-31", "taken<1971-06-15T12:30"],
        ["camera=canon"],
        ["camera=5d Canon"],
        ["camera=can"],
        ["tag=Beach"],
        ["tag=beach", "tag=été à  DEUX"],
        ["folder=2", "taken>=1970", "camera=canon", "tag=beach"],
    ],
    ids="; ".join,
)
@pytest.mark.parametrize("exact", [True, False])
def test_search_with_a_filter(open_store, conditions, exact):
    stored, where = points(60), Filter.parse(conditions)
    with open_store() as store:
        store.upsert(stored)
        expected = {point.entry.id for point in stored if passes(point.entry, where)}
        assert {m.id for m in store.search(np.ones(DENSE), 60, where, exact)} == expected
        assert len(store.search(np.ones(DENSE), 2, where, exact)) == min(2, len(expected))


@pytest.mark.parametrize("field", COUNTED)
def test_values_are_counted(open_store, field):
    stored = points(60)
    with open_store() as store:
        assert store.counts(field, 10) == {}
        store.upsert(stored)
        expected = counted((point.entry for point in stored), field, 100)
        assert store.counts(field, 100) == expected
        assert list(store.counts(field, 100)) == list(expected)
        assert len(store.counts(field, 2)) == min(2, len(expected))
        # Values whose fields are not indexed, as in an index of an older version.
        assert counted(store.entries(), field, 100) == expected


@given(where=st.lists(trees(LEAVES), max_size=2).map(Filter.of))
@settings(
    max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_points_of_a_filter_are_counted(filled, where):
    stored, store = filled
    expected = [point for point in stored if passes(point.entry, where)]
    assert store.count(where) == len(expected)
    assert {match.id for match in store.search(np.ones(DENSE), 60, where)} == {
        point.entry.id for point in expected
    }


@pytest.fixture
def filled(open_store):
    """60 points, and a store that has them."""
    stored = points(60)
    with open_store() as store:
        store.upsert(stored)
        yield stored, store


def test_empty_filter_is_no_filter(open_store):
    with open_store() as store:
        store.upsert(points(9))
        assert len(store.search(np.ones(DENSE), 60, Filter())) == 9


def test_quantized_vectors_are_nearly_the_same(open_store):
    stored, query = points(300), unit(np.random.default_rng(9).normal(size=DENSE))
    expected = {point.entry.id: float(point.dense @ query) for point in stored}
    words = unit(np.random.default_rng(8).normal(size=(5, LOCAL)))
    with open_store(quantize="int8") as store:
        store.upsert(stored)
        store.optimize()
        for exact in (True, False):
            for match in store.search(query, 300, exact=exact):
                assert match.score == pytest.approx(expected[match.id], abs=EIGHT_BITS)
        found = store.rescore(words, list(expected))
        for point in stored:
            told = found[point.entry.id]
            assert told == pytest.approx(maxsim(words, point.local), abs=len(words) * EIGHT_BITS)
    with open_store(quantize="int8") as store:
        back = store.fetch([stored[7].entry.id], local=True)[0]
        np.testing.assert_allclose(back.dense, stored[7].dense, atol=EIGHT_BITS)
        np.testing.assert_allclose(back.local, stored[7].local, atol=EIGHT_BITS)


@pytest.mark.parametrize("flush", [True, False])
def test_what_was_written_is_there_after_opening_again(open_store, flush):
    stored = points(20)
    with open_store() as store:
        store.upsert(stored)
        if flush:
            store.flush()
    with open_store() as store:
        assert store.count() == 20
        found = store.fetch([stored[11].entry.id], local=True)[0]
        np.testing.assert_allclose(found.local, stored[11].local, atol=HALF)
        store.delete([stored[11].entry.id])
    with open_store() as store:
        assert store.count() == 19


def test_facts(open_store):
    with open_store() as store:
        store.upsert(points(20))
        facts = store.facts()
        assert facts.engine in ("edge", "server")
        assert facts.bytes_on_disk is None or facts.bytes_on_disk > 20 * 2 * (DENSE + LOCAL)
        assert not facts.optimizing
    with pytest.raises(IndexingError, match="closed"):
        store.facts()


def test_optimize_changes_no_answer(open_store):
    stored, query = points(400), unit(np.random.default_rng(9).normal(size=DENSE))
    with open_store() as store:
        store.upsert(stored)
        before = store.search(query, 20, exact=True)
        store.optimize()
        assert store.search(query, 20, exact=True) == before
        assert store.count() == 400


def test_store_without_local_vectors(open_store):
    stored = points(5, local=0)
    with open_store(local=0) as store:
        store.upsert(stored)
        query = stored[3].dense
        assert store.search(query, 1)[0].id == stored[3].entry.id
        assert store.fetch([stored[3].entry.id], local=True)[0].entry == stored[3].entry


def test_store_without_dense_vectors(open_store):
    stored = points(5, dense=0)
    with open_store(dense=0) as store:
        store.upsert(stored)
        assert {m.id for m in store.search(np.zeros(0), 9)} == {p.entry.id for p in stored}
        assert len(store.rescore(stored[0].local, [p.entry.id for p in stored])) == 5
        assert store.fetch([stored[0].entry.id])[0].dense.shape == (0,)


def test_closed_store(open_store):
    store = open_store()
    store.close()
    store.close()
    with pytest.raises(IndexingError, match="closed"):
        store.count()


def test_wrong_width_is_an_error_of_ours(open_store):
    with open_store() as store, pytest.raises(IndexingError):
        store.upsert(points(1, dense=DENSE + 1))


@pytest.mark.parametrize("quantize", [None, "int8"])
def test_intact_points_are_verified(open_store, quantize):
    with open_store(quantize=quantize) as store:
        store.upsert(points(60))
        store.optimize()
        assert {state for _, state in store.verify()} == {"intact"}
    with open_store(quantize=quantize) as store:
        assert sorted(checked.entry.size for checked in store.verify()) == [
            point.entry.size for point in points(60)
        ]
        assert {state for _, state in store.verify()} == {"intact"}


@pytest.mark.parametrize("level", ["dense", "local"])
@pytest.mark.parametrize("quantize", [None, "int8"])
def test_vectors_of_another_point_are_damage(open_store, monkeypatch, level, quantize):
    """The stored vectors are not those whose checksums were stored: as if bytes had changed."""
    stored = points(6)
    key = stored[2].entry.id
    named = Widths.named

    def wrong(widths: Widths, point: Point) -> dict:
        return named(widths, point) | {level: named(widths, stored[3])[level]}

    with open_store(quantize=quantize) as store:
        store.upsert([point for point in stored if point.entry.id != key])
        with monkeypatch.context() as patch:
            patch.setattr(Widths, "named", wrong)
            store.upsert([stored[2]])
        damaged = [entry.id for entry, state in store.verify() if state == "damaged"]
        assert damaged == [key]
        with pytest.raises(DamagedError, match="--repair"):
            store.fetch([key], local=True)
        others = [point.entry.id for point in stored if point.entry.id != key]
        assert len(store.fetch(others, local=True)) == 5
        assert not any(entry.damaged for entry in store.entries())
        store.mark_damaged([key])
        store.mark_damaged([])
        assert [entry.id for entry in store.entries() if entry.damaged] == [key]
        store.upsert([stored[2]])
        assert not any(entry.damaged for entry in store.entries())
        assert {state for _, state in store.verify()} == {"intact"}


def test_vectors_that_are_not_finite_are_refused(open_store):
    [point] = points(1)
    with open_store() as store:
        for wrong in (np.nan, np.inf, 1e6):
            with pytest.raises(IndexingError, match="not finite"):
                store.upsert([replace(point, dense=np.full(DENSE, wrong, np.float32))])
        assert store.count() == 0


def test_points_without_checksums(open_store, monkeypatch):
    """An index of an older version of hgan."""
    with open_store() as store:
        with monkeypatch.context() as patch:
            patch.setattr(Widths, "payload", lambda _, point: to_payload(point.entry))
            store.upsert(points(3))
        assert [state for _, state in store.verify()] == ["unchecked"] * 3
        assert len(store.fetch([point.entry.id for point in points(3)], local=True)) == 3
