"""The JSON of requests, with the bounds of every value, and of the status.

Other responses are in `hgan.answers`.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from fastapi import UploadFile
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hgan.errors import DataError
from hgan.index.conditions.fields import EXAMPLES
from hgan.index.conditions.filter import Filter
from hgan.index.store.contract import StoreFacts
from hgan.runtime.metadata.text import clean_tag
from hgan.search.finder import Hit
from hgan.search.language.parse import parse
from hgan.search.language.types import Parsed
from hgan.search.query import Query
from hgan.search.searcher import CANDIDATES, Index
from hgan.serve.downloads import MOST_PHOTOS
from hgan.serve.thumbnails import Size

LONGEST_TEXT = 100_000
"""Maximum length of a text in characters; the model reads only the first few dozen words."""
LONGEST_LINE = 10_000
"""Maximum length of a line with words and conditions, in characters."""

MOST_QUERIES = 32
"""Maximum number of queries in one request, which are encoded in one batch."""
MOST_FOLDED = 1000
"""Maximum of `offset` + `k` for folding, which compares each hit with all others."""

MOST_RESULTS = 20_000
"""Maximum of queries x (`offset` + `k`) of one request; two cores find them in half a second."""

Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
Line = Annotated[str, Field(max_length=LONGEST_LINE)]
Condition = Annotated[str, Field(max_length=1000)]


class Page(BaseModel):
    """Which part of the results to return."""

    model_config = ConfigDict(extra="forbid")

    k: int = Field(10, ge=1, le=200, description="Number of photos.")
    offset: int = Field(
        0, ge=0, le=10_000, description="Number of photos to skip, for the next page."
    )
    where: list[Condition] = Field(
        [], max_length=32, description=f"Conditions that all photos must meet, such as {EXAMPLES}."
    )
    threshold: float | None = Field(
        None, allow_inf_nan=False, description="Only photos with at least this score."
    )
    min_relevance: float | None = Field(
        None, ge=0, le=1, description="Only photos with at least this relevance."
    )
    fold: bool = Field(False, description="Group near-duplicates under the best of them.")

    @model_validator(mode="after")
    def _folds_the_first(self) -> Self:
        if self.fold and self.offset + self.k > MOST_FOLDED:
            raise ValueError(
                f"near-duplicates can be folded among the first {MOST_FOLDED} hits only"
            )
        return self

    def cost(self, queries: int = 1) -> int:
        """Number of results that must be found for this number of queries, at least those of the
        second stage of a search."""
        return queries * max(self.offset + self.k, CANDIDATES)

    def find_many(self, index: Index, queries: Sequence[Query], where: Filter) -> list[list[Hit]]:
        """Search for each of several queries among photos that meet `where`.

        Raises:
            DataError: a text has no words.
        """
        return index.find_many(
            queries,
            self.k,
            offset=self.offset,
            where=where,
            threshold=self.threshold,
            min_relevance=self.min_relevance,
            fold=self.fold,
        )


class TextQuery(BaseModel):
    """A text, a photo of the index, or both."""

    model_config = ConfigDict(extra="forbid")

    text: Text = Field("", description="Description of the photos.")
    like: UUID | None = Field(None, description="The id of a photo; similar ones are searched for.")
    without: list[Text] = Field(
        [], max_length=16, description="Descriptions of what the photos should not show."
    )
    share: float = Field(0.5, ge=0, le=1, description="Weight of the photo; the text has the rest.")

    def query(self, like: str | None) -> Query:
        """The query for `hgan.search`; `like` is the id of that photo in the store.

        Raises:
            DataError: there is neither a text nor a photo.
        """
        return Query(self.text, like=like, without=tuple(self.without), photo_share=self.share)


class WithLine(BaseModel):
    """A request with a line in the query language, instead of a text."""

    q: Line = Field(
        "",
        description="Words and conditions as people type them, such as `dog in:2023 rating>=4 "
        "-people`, instead of `text`, whose words are taken as they are.",
    )
    text: Text = Field("", description="Description of the photos.")

    @model_validator(mode="after")
    def _has_one_text(self) -> Self:
        if self.q and self.text:
            raise ValueError("q and text are two forms of the words; send one of them")
        return self

    def parsed(self) -> Parsed:
        """The words and conditions.

        Raises:
            LanguageError: a condition in `q` is not valid.
        """
        return parse(self.q) if self.q else Parsed(self.text, self.text)


class TextSearch(Page, TextQuery, WithLine):
    """A search by text, by a photo of the index, or by both."""


class BatchSearch(Page):
    """Several searches at once, with the same page of results."""

    queries: list[TextQuery] = Field(min_length=1, max_length=MOST_QUERIES)

    @model_validator(mode="after")
    def _is_bounded(self) -> Self:
        if len(self.queries) * (self.offset + self.k) > MOST_RESULTS:
            raise ValueError(
                f"queries x (offset + k) may be at most {MOST_RESULTS}; send fewer queries at once"
            )
        return self


class PhotoSearch(Page, WithLine):
    """A search by a photo that is uploaded, and optionally by text."""

    photo: UploadFile = Field(description="A JPEG, PNG, WebP, GIF, BMP or TIFF file.")
    text: Text = Field("", description="Description of the photos, in addition to the photo.")
    without: list[Text] = Field(
        [], max_length=16, description="Descriptions of what the photos should not show."
    )
    share: float = Field(0.5, ge=0, le=1, description="Weight of the photo; the text has the rest.")


class PhotoToAdd(BaseModel):
    """A photo to store in the folder and add to the index."""

    model_config = ConfigDict(extra="forbid")

    photo: UploadFile = Field(description="A JPEG, PNG, WebP, GIF, BMP or TIFF file.")
    path: str = Field(
        min_length=1,
        max_length=500,
        description="Path in the indexed folder, such as 2023/italy/dog.jpg.",
    )
    tags: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(
        [],
        max_length=100,
        description="Tags in addition to those in the photo; stored in the index, not in the file.",
    )
    replace: bool = Field(False, description="Whether an existing photo of this path is replaced.")

    def clean_tags(self) -> tuple[str, ...]:
        """The tags as filters compare them.

        Raises:
            DataError: a tag is empty or has characters that cannot be printed.
        """
        tags = tuple(dict.fromkeys(clean_tag(tag) for tag in self.tags))
        if not all(tag and tag.isprintable() for tag in tags):
            raise DataError("tags: one is empty, or has characters that cannot be printed")
        return tags


class SuggestRequest(BaseModel):
    """A line that a person is typing."""

    model_config = ConfigDict(extra="forbid")

    q: Line = Field(description="The line.")
    at: int | None = Field(
        None,
        ge=0,
        le=LONGEST_LINE,
        description="Position of the cursor in code points; null for the end of the line.",
    )
    limit: int = Field(8, ge=1, le=50, description="Maximum number of suggestions.")


class LookupRequest(BaseModel):
    """The path of a photo."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(
        min_length=1, max_length=5000, description="Path relative to the indexed folder."
    )


class DownloadRequest(BaseModel):
    """Photos of the index."""

    model_config = ConfigDict(extra="forbid")

    ids: list[UUID] = Field(min_length=1, max_length=MOST_PHOTOS)


class ExplainRequest(BaseModel):
    """A photo of the index and a sentence."""

    model_config = ConfigDict(extra="forbid")

    id: UUID
    text: Text


class BundleInfo(BaseModel):
    """The model in use."""

    name: str
    id: str
    languages: list[str] = Field(
        description="Languages of texts by the model card, such as en; empty if it does not say."
    )


class Engine(BaseModel):
    """How the index is stored; null where this is not known."""

    engine: Literal["edge", "server"] = Field(
        description="Embedded in the service, or a Qdrant server."
    )
    bytes_on_disk: int | None
    changed: datetime | None = Field(description="When photos were last added or removed.")
    optimizing: bool | None = Field(description="Whether the index is being optimized now.")
    shards: int | None = Field(description="Shards of the collection.")
    replicas: int | None = Field(description="Replicas of each shard.")
    write_consistency: int | None = Field(description="Replicas that must confirm a write.")

    @classmethod
    def of(cls, facts: StoreFacts) -> Self:
        """From the facts that a store reports."""
        values = asdict(facts)
        if facts.changed is not None:
            values["changed"] = datetime.fromtimestamp(facts.changed, UTC)
        return cls(**values)


class Status(BaseModel):
    """The index and the model that are served."""

    version: str
    name: str = Field(description="Name of the indexed folder.")
    photos: int
    adding: int = Field(description="Photos that are being added now.")
    index: Engine
    bundle: BundleInfo
    weights: dict[str, float] = Field(description="Weights of the levels in the score.")
    thumbnails: list[Size] = Field(description="Available sizes.")
    manageable: bool = Field(description="Whether keys are configured.")


class Health(BaseModel):
    """Whether the service runs, or is ready to search."""

    status: str
