"""Image-text retrieval with the Hierarchical Graph Alignment Network.

    model = hgan.load()
    photos, texts = model.encode_image(["a.jpg", "b.jpg"]), model.encode_text("a dog in the snow")
    hgan.similarity(photos, texts)

    hgan.index_folder("photos", "photos.index")
    with hgan.open_index("photos.index") as index:
        hits = index.search("a dog in the snow")

The public names are imported when they are first used, so that `import hgan` is fast.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

from hgan.version import __version__ as __version__

if TYPE_CHECKING:
    from hgan.client import Client as Client
    from hgan.errors import HganError as HganError
    from hgan.evaluation.checkpoints import evaluate as evaluate
    from hgan.index.conditions.filter import Filter as Filter
    from hgan.index.indexer import IndexReport as IndexReport
    from hgan.index.indexer import index_folder as index_folder
    from hgan.index.texts import index_texts as index_texts
    from hgan.loading import explain as explain
    from hgan.loading import load as load
    from hgan.pretrained import HGAN as HGAN
    from hgan.runtime.bundle import Bundle as Bundle
    from hgan.runtime.embeddings import Embeddings as Embeddings
    from hgan.runtime.embeddings import similarity as similarity
    from hgan.runtime.explain import Explanation as Explanation
    from hgan.runtime.model import Model as Model
    from hgan.search.finder import Hit as Hit
    from hgan.search.query import Query as Query
    from hgan.search.searcher import Index as Index
    from hgan.search.searcher import open_index as open_index
    from hgan.training.config import Config as Config
    from hgan.training.config import load_config as load_config
    from hgan.training.trainer import train as train

# From version 1.29 on, ONNX Runtime sends usage data unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_RUNTIME = {
    "Bundle": "hgan.runtime.bundle",
    "Client": "hgan.client",
    "Embeddings": "hgan.runtime.embeddings",
    "Explanation": "hgan.runtime.explain",
    "Filter": "hgan.index.conditions.filter",
    "HganError": "hgan.errors",
    "Hit": "hgan.search.finder",
    "Index": "hgan.search.searcher",
    "IndexReport": "hgan.index.indexer",
    "Model": "hgan.runtime.model",
    "Query": "hgan.search.query",
    "explain": "hgan.loading",
    "index_folder": "hgan.index.indexer",
    "index_texts": "hgan.index.texts",
    "load": "hgan.loading",
    "open_index": "hgan.search.searcher",
    "similarity": "hgan.runtime.embeddings",
}
"""The module of each public name that does not need torch."""
_TRAINING = {
    "Config": "hgan.training.config",
    "HGAN": "hgan.pretrained",
    "evaluate": "hgan.evaluation.checkpoints",
    "load_config": "hgan.training.config",
    "train": "hgan.training.trainer",
}
"""The module of each public name of the training half."""

__all__ = ["__version__", *_RUNTIME, *_TRAINING]


def __getattr__(name: str) -> Any:
    home = _RUNTIME.get(name) or _TRAINING.get(name)
    if home is None:
        raise AttributeError(f"module 'hgan' has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(home), name)
    except ModuleNotFoundError as error:
        if name in _RUNTIME or (error.name or "").startswith("hgan"):
            raise
        from hgan.errors import ConfigError

        raise ConfigError(
            f"hgan.{name} needs the training half, and {error.name} is not installed: "
            "pip install 'hgan[train]'"
        ) from error


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
