"""Open an index for a search, or ask the service that has it open."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hgan.client import Client
from hgan.errors import IndexingError
from hgan.index.conditions.filter import Filter
from hgan.index.store.announcement import announced_address
from hgan.index.store.manifest import Holds
from hgan.index.store.open import is_address, read_manifest
from hgan.runtime.bundle import Bundle
from hgan.search.finder import Hit, SearchOptions
from hgan.search.query import Query
from hgan.search.searcher import Index, open_index
from hgan.search.words import Unknown
from hgan.sources.roots import Roots

TIMEOUT = 60.0
"""Seconds for an answer of a service."""


@dataclass(frozen=True)
class _Model:
    """What a service says about its model."""

    name: str
    languages: tuple[str, ...]


class ServedIndex(Client):
    """An index of this machine that a service has open; paths of hits are complete."""

    holds: Holds = "photos"

    def __init__(self, url: str, roots: Roots) -> None:
        keys = os.environ.get("HGAN_API_KEYS", "").split(",")
        super().__init__(url, keys[0].strip() or None, TIMEOUT)
        self._roots = roots
        bundle: dict[str, Any] = self.status().get("bundle", {})
        self.bundle = _Model(str(bundle.get("name")), tuple(bundle.get("languages") or ()))

    def unknown_words(self, _query: Query) -> list[Unknown]:
        """Nothing: the service tells the page only."""
        return []

    def unknown_values(self, _where: Filter) -> list[str]:
        """Nothing: the service tells the page only."""
        return []

    def _find(self, queries: Sequence[Query], options: SearchOptions) -> list[list[Hit]]:
        return [
            [
                replace(
                    hit,
                    path=self._roots.path(hit.path.as_posix()),
                    duplicates=tuple(self._roots.path(path.as_posix()) for path in hit.duplicates),
                )
                for hit in hits
            ]
            for hits in super()._find([self._relative(query) for query in queries], options)
        ]

    def _relative(self, query: Query) -> Query:
        """The query with a path in the index, as the service knows it."""
        if query.like and Path(query.like).is_absolute() and isinstance(self._roots.first, Path):
            with suppress(ValueError):  # not in a folder of the index
                return replace(query, like=self._roots.inside(Path(query.like)))
        return query


def open_to_search(target: Path | str, bundle: Bundle | None = None) -> Index | ServedIndex:
    """Open an index; if a service of this machine has it open, the service is asked, with its
    model.

    Args:
        target: the index.
        bundle: the model, if it is not where it was.

    Raises:
        IndexingError: see `open_index`; or the service refuses to answer.
        BundleError: see `open_index`.
    """
    url = None if is_address(target) else announced_address(Path(target))
    if url is None:
        return open_index(target, bundle)
    try:
        return ServedIndex(url, read_manifest(Path(target)).roots)
    except IndexingError:  # it is stopping, or does not answer
        return open_index(target, bundle)
