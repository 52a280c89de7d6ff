"""Image-text retrieval with the Hierarchical Graph Alignment Network.

The public names below are imported when they are first used, so that `import hgan` costs nothing.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

from hgan.version import __version__ as __version__

if TYPE_CHECKING:
    from hgan.errors import HganError as HganError
    from hgan.index.indexer import IndexReport as IndexReport
    from hgan.index.indexer import index_folder as index_folder
    from hgan.index.store.filter import Filter as Filter
    from hgan.index.texts import index_texts as index_texts
    from hgan.runtime.bundle import Bundle as Bundle
    from hgan.search.query import Query as Query
    from hgan.search.searcher import Hit as Hit
    from hgan.search.searcher import Index as Index
    from hgan.search.searcher import open_index as open_index

# ONNX Runtime reports to its maker from 1.29 on, unless it finds this before it is imported. What
# runs here needs no network, and tells nobody.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_HOMES = {
    "Bundle": "hgan.runtime.bundle",
    "Filter": "hgan.index.store.filter",
    "HganError": "hgan.errors",
    "Hit": "hgan.search.searcher",
    "Index": "hgan.search.searcher",
    "IndexReport": "hgan.index.indexer",
    "Query": "hgan.search.query",
    "index_folder": "hgan.index.indexer",
    "index_texts": "hgan.index.texts",
    "open_index": "hgan.search.searcher",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hgan' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
