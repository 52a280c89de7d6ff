"""Searches while others change the index: all hits are there, and their scores are right."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hgan.runtime.bundle import Bundle
from hgan.search.searcher import open_index


@pytest.mark.parametrize("after", ["search", "rescore"])
@pytest.mark.parametrize("candidates", [None, 8])
def test_as_many_hits_as_asked_while_others_delete(
    to: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, after: str, candidates: int | None
) -> None:
    with open_index(to, bundle) as index:
        expected = [hit.id for hit in index.search("a red photo", 12)]
        store, method, left = index._store, getattr(index._store, after), [expected[:3]]

        def deleting(*given: Any) -> Any:
            answer = method(*given)
            if left:
                store.delete(left.pop())
            return answer

        monkeypatch.setattr(store, after, deleting)
        hits = index.search("a red photo", 8, candidates=candidates)
        assert not left
        assert [hit.id for hit in hits] == expected[3:11]


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("after", ["search", "rescore"])
def test_no_score_is_of_two_photos_while_others_replace(
    to: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, after: str, fold: bool
) -> None:
    """The levels are scored one after the other; a photo may be replaced in between."""
    with open_index(to, bundle) as index:
        before = {hit.id: hit.score for hit in index.search("a red photo", 12)}
        store, method = index._store, getattr(index._store, after)
        first, *_, last = store.fetch(list(before), local=True)
        exchanged = [replace(last, entry=first.entry), replace(first, entry=last.entry)]
        left = [exchanged]

        def replacing(*given: Any) -> Any:
            answer = method(*given)
            if left:
                store.upsert(left.pop())
            return answer

        monkeypatch.setattr(store, after, replacing)
        found = {hit.id: hit.score for hit in index.search("a red photo", 12, fold=fold)}
        assert not left
        expected = before | {
            first.entry.id: before[last.entry.id],
            last.entry.id: before[first.entry.id],
        }
        assert found == pytest.approx({key: expected[key] for key in found}, abs=1e-4)
        assert len(found) == 12 or fold
