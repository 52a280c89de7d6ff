"""Photos by text or by photo, in two stages: candidates by context and slots, then the exact S.

The first stage is one inner product a photo; the second adds the local level to the candidates
that the first found, so the score of a hit is the model's own similarity.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from PIL import Image

from hgan.encoded import Encoded
from hgan.index.filter import Filter, inner_folder
from hgan.index.store import Match, Store
from hgan.index.target import is_address, open_store, read_manifest
from hgan.runtime.bundle import Bundle
from hgan.runtime.images import read_photo, to_pixels
from hgan.runtime.similarity import dense, dense_levels

CANDIDATES = 200
"""Photos that the second stage looks at, at least."""
CANDIDATES_EACH = 4
"""Candidates for each hit that is asked for."""


@dataclass(frozen=True)
class Hit:
    """A photo that a search found."""

    path: Path
    score: float
    """S, the weighted sum of the levels."""
    levels: dict[str, float]
    """Similarity by level, for the levels that the model has."""


class Index:
    """An index that is open for searching; several threads may search at once."""

    def __init__(self, store: Store, bundle: Bundle, root: Path, closing: ExitStack) -> None:
        """Use `open_index`."""
        self.bundle = bundle
        self.root = root
        """The folder that the photos are in."""
        self._store = store
        self._closing = closing

    def search(
        self, text: str, k: int = 10, candidates: int | None = None, folder: str | None = None
    ) -> list[Hit]:
        """The k photos that fit a sentence best, best first.

        Args:
            text: what the photo shows.
            k: how many hits.
            candidates: how many photos of the first stage the second looks at.
            folder: only photos in this folder below the root, at any depth.

        Raises:
            DataError: there are no words in the text.
        """
        query = self.bundle.encode_texts([text])
        return self._search(query, k, candidates, Filter(inner_folder(folder or ".")))

    def search_image(
        self,
        photo: Path | str | bytes | Image.Image,
        k: int = 10,
        candidates: int | None = None,
        folder: str | None = None,
    ) -> list[Hit]:
        """The k photos most like a photo, given as a file, its bytes or an image.

        Raises:
            DataError: the photo cannot be read.
        """
        size = self.bundle.config.size
        query = self.bundle.encode_images([to_pixels(read_photo(photo, hint=size), size)])
        return self._search(query, k, candidates, Filter(inner_folder(folder or ".")))

    def exhaustive(self, text: str, k: int = 10) -> list[Hit]:
        """What `search` would find if the second stage looked at every photo; slow."""
        query = self.bundle.encode_texts([text])
        return self._search(query, k, len(self), Filter(), exact=True)

    def __len__(self) -> int:
        return self._store.count()

    def close(self) -> None:
        """Let go of the index, so that another process can open it."""
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _search(
        self,
        query: Encoded[np.ndarray],
        k: int,
        candidates: int | None,
        where: Filter,
        exact: bool = False,
    ) -> list[Hit]:
        weights = self.bundle.config.weights
        vector = dense(query, weights)[0]  # (E,)
        if candidates is None:
            candidates = max(CANDIDATES, CANDIDATES_EACH * k)
        if not len(vector):  # the local level alone: the first stage has no opinion
            candidates = len(self)
        found = self._store.search(vector, max(k, candidates), where, exact)
        local: dict[str, float] = {}
        if weights["local"]:
            words = query.local[0][query.mask[0]]  # (w, D_l)
            sums = self._store.rescore(words, [match.id for match in found])
            local = {key: total / len(words) for key, total in sums.items()}
        scored = [
            Match(key, score + weights["local"] * local.get(key, 0.0)) for key, score in found
        ]
        # Equal photos keep an order that does not depend on the engine.
        scored.sort(key=lambda match: (-match.score, match.id))
        return self._hits(scored[:k], vector, local)

    def _hits(self, matches: list[Match], vector: np.ndarray, local: dict[str, float]) -> list[Hit]:
        if not matches:
            return []
        config = self.bundle.config
        points = self._store.fetch([match.id for match in matches])
        vectors = np.stack([point.dense for point in points])  # (k, E)
        levels = dense_levels(vector, vectors, config.widths, config.weights)
        hits = []
        for row, (point, match) in enumerate(zip(points, matches, strict=True)):
            parts = {name: float(values[row]) for name, values in levels.items()}
            if match.id in local:
                parts["local"] = local[match.id]
            hits.append(Hit(self.root / point.entry.path, match.score, parts))
        return hits


def open_index(path: Path | str, bundle: Bundle | Path | None = None) -> Index:
    """Open an index that `index_folder` made; close it, or use it in a `with`.

    Args:
        path: the index, a folder or the address of a collection on a server.
        bundle: the model that made it, or its folder; by default it is looked for where it was.

    Raises:
        IndexingError: there is no index, it was made with another bundle, or another process has
            it open.
        BundleError: the bundle is missing or damaged.
    """
    target = path if is_address(path) else Path(path)
    manifest = read_manifest(target)
    if bundle is None and manifest.bundle_path is not None:
        bundle = Path(manifest.bundle_path)
    if not isinstance(bundle, Bundle):
        bundle = Bundle.load(bundle)
    manifest.check_bundle(target, bundle.id, bundle.config.name)
    with ExitStack() as stack:
        store = stack.enter_context(open_store(target, manifest))
        return Index(store, bundle, Path(manifest.root), closing=stack.pop_all())
