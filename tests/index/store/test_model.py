"""Any sequence of operations on a store has the results of the same operations on a dictionary.

`tests/index/test_writer.py` does the same one level up, with files and updates of an index.
"""

from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from hgan.index.conditions.fields import camera_words
from hgan.index.conditions.filter import Filter
from hgan.index.conditions.types import Camera, Condition, Folder, In, Tag
from hgan.index.store.contract import Entry, Point
from tests.fixtures.conditions import passes, taken, trees
from tests.fixtures.points import (
    CAMERAS,
    DENSE,
    EIGHT_BITS,
    HALF,
    LOCAL,
    PEOPLE,
    TAGS,
    maxsim,
    unit,
)
from tests.index.store.conftest import STORES

NAMES = st.sampled_from(
    [("a.jpg", ""), ("2023/b.jpg", ""), ("2023/italy/c d.jpg", ""), ("2023/italy/\xf8.jpg", ""),
     ("2024/b.jpg", ""), ("a.jpg", "a dog"), ("", "a dog"), ("", "a cat")]
)  # fmt: skip
"""Paths and texts: few, so that they meet again."""
IDS = st.lists(NAMES.map(lambda name: Entry(name[0], 0, 0, "", text=name[1]).id), max_size=8)
SEEDS = st.integers(0, 99)
TIMES = st.none() | st.sampled_from([-(10**9), -1, 0, 1, 10**9, 10**9 + 1])
SOME_TAGS = st.lists(st.sampled_from([*TAGS, "sun"]), max_size=2, unique=True).map(tuple)
DEGREES = st.floats(-90, 90).map(lambda degrees: round(degrees, 6))
ENTRIES = st.builds(
    lambda name, **more: Entry(name[0], digest="d", text=name[1], **more),
    NAMES,
    size=st.integers(0, 2**40),
    mtime=st.integers(0, 2**62),
    taken=TIMES,
    camera=st.sampled_from(["", *CAMERAS]),
    file_tags=SOME_TAGS,
    user_tags=SOME_TAGS,
    rating=st.none() | st.integers(0, 5),
    people=st.lists(st.sampled_from(PEOPLE), max_size=2, unique=True).map(tuple),
    city=st.sampled_from(["", "Lisbon"]),
    country=st.sampled_from(["", "Portugal"]),
    position=st.none() | st.tuples(DEGREES, DEGREES),
    file_time=st.booleans(),
    width=st.integers(0, 10**5),
    height=st.integers(0, 10**5),
)
LEAVES: st.SearchStrategy[Condition] = st.one_of(
    st.sampled_from(["2023", "2023/italy", "a"]).map(Folder),
    taken(TIMES.filter(lambda moment: moment is not None)),
    st.sampled_from(["canon", "Canon EOS"]).map(lambda name: Camera(camera_words(name))),
    st.sampled_from([*TAGS, "sun"]).map(Tag),
    st.sampled_from(["2023", "italy"]).map(In),
)
FILTERS = st.lists(trees(LEAVES), max_size=2).map(Filter.of)


def point(entry: Entry, seed: int) -> Point:
    """A point with one to five regions."""
    rng = np.random.default_rng(seed)
    local = unit(rng.normal(size=(1 + seed % 5, LOCAL)))
    return Point(entry, 0.7 * unit(rng.normal(size=DENSE)), local)


class StoreAgainstDict(RuleBasedStateMachine):
    """One store, opened again and again, and a dictionary of the points that it should hold."""

    def __init__(self, engine: str, quantize: str | None) -> None:
        super().__init__()
        self.stack = ExitStack()
        folder = Path(self.stack.enter_context(TemporaryDirectory()))
        self.quantize = quantize
        opener = self.stack.enter_context(contextmanager(STORES[engine])(folder))
        self.open = partial(opener, quantize=quantize)
        self.store = self.open()
        self.stack.callback(lambda: self.store.close())
        self.expected: dict[str, Point] = {}

    @rule(stored=st.lists(st.builds(point, ENTRIES, SEEDS), max_size=5))
    def upsert(self, stored: list[Point]) -> None:
        self.store.upsert(stored)
        self.expected |= {one.entry.id: one for one in stored}

    @rule(ids=IDS, tags=SOME_TAGS)
    def change_tags(self, ids: list[str], tags: tuple[str, ...]) -> None:
        """As the writer does: the point is stored again with another payload."""
        found = self.store.fetch(ids, local=True)
        changed = [replace(one, entry=replace(one.entry, user_tags=tags)) for one in found]
        self.store.upsert(changed)
        for one in changed:
            before = self.expected[one.entry.id]
            self.expected[one.entry.id] = replace(before, entry=replace(one.entry, damaged=False))

    @rule(ids=IDS)
    def delete(self, ids: list[str]) -> None:
        self.store.delete(ids)
        for key in ids:
            self.expected.pop(key, None)

    @rule(ids=IDS)
    def mark_damaged(self, ids: list[str]) -> None:
        known = [key for key in ids if key in self.expected]
        self.store.mark_damaged(known)
        for key in known:
            before = self.expected[key]
            self.expected[key] = replace(before, entry=replace(before.entry, damaged=True))

    @rule(seed=SEEDS, limit=st.integers(0, 9), where=st.none() | FILTERS, exact=st.booleans())
    def search(self, seed: int, limit: int, where: Filter | None, exact: bool) -> None:
        vector = unit(np.random.default_rng(1000 + seed).normal(size=DENSE))
        scores = {
            key: float(one.dense @ vector)
            for key, one in self.expected.items()
            if passes(one.entry, where or Filter())
        }
        found = self.store.search(vector, limit, where, exact)
        assert len({match.id for match in found}) == len(found) == min(limit, len(scores))
        close = partial(pytest.approx, abs=HALF)
        assert [match.score for match in found] == close([scores[match.id] for match in found])
        # Candidates in 8 bits are those with the best scores but for the rounding.
        bound = HALF if exact or self.quantize is None else 2 * EIGHT_BITS
        best = sorted(scores.values(), reverse=True)[:limit]
        assert [match.score for match in found] == pytest.approx(best, abs=bound)
        assert sorted(found, key=lambda match: -match.score) == found

    @rule(seed=SEEDS, words=st.integers(1, 4), ids=IDS)
    def rescore(self, seed: int, words: int, ids: list[str]) -> None:
        query = unit(np.random.default_rng(1000 + seed).normal(size=(words, LOCAL)))
        known = {key: self.expected[key] for key in ids if key in self.expected}
        found = self.store.rescore(query, ids)
        bound = words * (HALF if self.quantize is None else EIGHT_BITS)
        expected = {key: maxsim(query, one.local) for key, one in known.items()}
        assert found == pytest.approx(expected, abs=bound)

    @rule(ids=IDS, local=st.booleans())
    def fetch(self, ids: list[str], local: bool) -> None:
        found = self.store.fetch(ids, local=local)
        self.same(found, [self.expected[key] for key in ids if key in self.expected], local)
        entries = {entry.id: entry for entry in self.store.entries(ids)}
        assert entries == {one.entry.id: one.entry for one in found}

    @rule()
    def verify(self) -> None:
        checked = list(self.store.verify())
        assert {state for _, state in checked} <= {"intact"}
        assert {entry.id: entry for entry, _ in checked} == self.entries()

    @rule()
    def flush(self) -> None:
        self.store.flush()

    @rule()
    def optimize(self) -> None:
        self.store.optimize()

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = self.open()

    @invariant()
    def all_points_are_there(self) -> None:
        found = list(self.store.entries())
        assert self.store.count() == len(found) == len(self.expected)
        assert {entry.id: entry for entry in found} == self.entries()

    def teardown(self) -> None:
        ids = list(self.expected)
        with self.stack:
            self.same(self.store.fetch(ids, local=True), list(self.expected.values()), local=True)

    def entries(self) -> dict[str, Entry]:
        return {key: one.entry for key, one in self.expected.items()}

    def same(self, found: Sequence[Point], expected: Sequence[Point], local: bool) -> None:
        """Vectors in float16 come back as they are; those in 8 bits nearly."""
        lossy = 0 if self.quantize is None else EIGHT_BITS
        for one, other in zip_longest(found, expected):
            assert one.entry == other.entry
            wanted = other.dense.astype(np.float16)
            np.testing.assert_allclose(one.dense, wanted, rtol=0, atol=lossy)
            if local:
                wanted = other.local.astype(np.float16)
                np.testing.assert_allclose(one.local, wanted, rtol=0, atol=lossy)


@pytest.mark.parametrize(
    ("examples", "steps"), [(6, 15), pytest.param(100, 50, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("quantize", [None, "int8"])
@pytest.mark.parametrize("engine", STORES)
def test_any_sequence_of_operations(
    engine: str, quantize: str | None, examples: int, steps: int
) -> None:
    run_state_machine_as_test(
        partial(StoreAgainstDict, engine, quantize),
        settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None),
    )
