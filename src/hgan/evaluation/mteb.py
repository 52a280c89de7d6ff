"""Run retrieval tasks of MTEB, such as MIEB's Flickr30k and MSCOCO, on a model of hgan.

MTEB compares most models by one vector per item. S is not one inner product: its local level
compares each word with each region. MTEB's interface for search models leaves the comparison to the
model, as for ColBERT, so the full S ranks here, in both directions, of every pair.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hgan.chunks import chunks
from hgan.errors import ConfigError
from hgan.runtime.bundle import Bundle
from hgan.runtime.embeddings import Embeddings
from hgan.runtime.model import Model

if TYPE_CHECKING:
    from datasets import Dataset
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.models import ModelMeta

QUERIES = 256
"""Queries that are compared with the whole corpus at once."""
ROWS = 256
"""Photos that are read from a data set at once."""
_LANGUAGES = {"en": "eng-Latn", "de": "deu-Latn", "fr": "fra-Latn", "es": "spa-Latn"}
"""MTEB's codes of languages."""


class MTEBSearch:
    """A bundle or a checkpoint as a search model of MTEB (`mteb.models.SearchProtocol`).

        import hgan, mteb
        from hgan.evaluation.mteb import MTEBSearch

        tasks = mteb.get_tasks(tasks=["Flickr30kT2IRetrieval", "Flickr30kI2TRetrieval"])
        mteb.evaluate(MTEBSearch(hgan.load("bundles/mine")), tasks)

    The embeddings of a corpus are kept in memory.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._corpus: Embeddings | None = None
        self._ids: list[str] = []

    @property
    def mteb_model_meta(self) -> "ModelMeta":
        """Name and properties of the model, as MTEB stores them beside results."""
        from mteb.models import ModelMeta
        from mteb.models.model_meta import ScoringFunction

        model = self.model
        known = [_LANGUAGES[name] for name in model.languages if name in _LANGUAGES]
        return ModelMeta(
            loader=None,
            name=model.name if "/" in model.name else f"hgan/{model.name}",
            revision=model.id,  # depends on the weights, so that results are not mixed
            release_date=None,
            languages=known or None,
            n_parameters=None,
            memory_usage_mb=None,
            max_tokens=None,
            embed_dim=None,
            license=None,
            open_weights=None,
            public_training_code=None,
            public_training_data=None,
            framework=["ONNX" if isinstance(model, Bundle) else "PyTorch"],
            similarity_fn_name=ScoringFunction.CUSTOM,
            use_instructions=False,
            training_datasets=None,
            modalities=["image", "text"],
            model_type=["late-interaction"],
        )

    def index(self, corpus: "Dataset", *, task_metadata: "TaskMetadata", **_: Any) -> None:
        """Encode the corpus.

        Args:
            corpus: rows with `id`, and `image` or `text`.
            task_metadata: says which of the two.

        Raises:
            ConfigError: an item of the task is not one photo or one text.
            DataError: a photo cannot be read, or a text contains no words.
        """
        from mteb.types import PromptType

        modalities = task_metadata.get_modalities(PromptType.document)
        self._corpus = self._encode(corpus, modalities, task_metadata.name)
        self._ids = list(corpus["id"])

    def search(
        self,
        queries: "Dataset",
        *,
        task_metadata: "TaskMetadata",
        top_k: int,
        top_ranked: dict[str, list[str]] | None = None,
        **_: Any,
    ) -> dict[str, dict[str, float]]:
        """Rank the corpus for each query by S.

        Args:
            queries: rows with `id`, and `image` or `text`.
            task_metadata: says which of the two.
            top_k: number of hits for each query.
            top_ranked: for tasks that rank candidates, the ids of each query's candidates.

        Returns:
            For each query, the score of each hit, by their ids.

        Raises:
            ConfigError, DataError: see `index`.
        """
        from mteb.types import PromptType

        if self._corpus is None:
            raise ConfigError("MTEBSearch: nothing is indexed; call index first")
        modalities = task_metadata.get_modalities(PromptType.query)
        encoded = self._encode(queries, modalities, task_metadata.name)
        keys: list[str] = list(queries["id"])
        place = {key: row for row, key in enumerate(self._ids)}
        found: dict[str, dict[str, float]] = {}
        for batch in chunks(np.arange(len(encoded)), QUERIES):
            scores = self._compare(self._corpus, encoded[batch])  # (q, N)
            for query, row in zip(batch, scores, strict=True):
                key = keys[query]
                rows = np.arange(len(row))
                if top_ranked is not None:
                    rows = np.array([place[one] for one in top_ranked.get(key, ())], dtype=int)
                best = rows[np.argsort(-row[rows], kind="stable")[:top_k]]
                found[key] = {self._ids[i]: float(row[i]) for i in best}
        return found

    def _compare(self, corpus: Embeddings, queries: Embeddings) -> np.ndarray:
        """S of q queries and N items of the corpus, (q, N) float32."""
        if (corpus.kind, queries.kind) == ("texts", "photos"):
            return self.model.similarity(queries, corpus)
        return self.model.similarity(corpus, queries).T

    def _encode(self, items: "Dataset", modalities: Sequence[str], task: str) -> Embeddings:
        if list(modalities) == ["image"]:
            return self.model.encode_image(_photos(items))
        if list(modalities) == ["text"]:
            return self.model.encode_text(list(_texts(items)))
        raise ConfigError(
            f"{task}: an item has {' and '.join(modalities)}; hgan compares single photos and texts"
        )


def _photos(items: "Dataset") -> Iterator[Any]:
    """The photos of a data set, as PIL images; only some of them are in memory at once."""
    for batch in items.iter(batch_size=ROWS):
        yield from batch["image"]


def _texts(items: "Dataset") -> Iterator[str]:
    """The texts of a data set; documents can have a title, and queries an instruction."""
    names = [name for name in ("title", "text", "instruction") if name in items.column_names]
    for batch in items.select_columns(names).iter(batch_size=ROWS):
        for values in zip(*(batch[name] for name in names), strict=True):
            yield " ".join(value for value in values if value).strip()
