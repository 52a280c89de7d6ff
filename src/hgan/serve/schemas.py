"""What is asked and answered, as JSON; the bounds of every value are here."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Annotated, Literal, Self
from uuid import UUID

from fastapi import UploadFile
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hgan.errors import DataError
from hgan.index.store.contract import Entry, StoreFacts
from hgan.index.store.filter import EXAMPLES, Filter
from hgan.runtime.exif import clean_tag
from hgan.search.finder import Hit
from hgan.search.query import Query
from hgan.search.searcher import Index
from hgan.serve.thumbnails import Size

LONGEST_TEXT = 100_000
"""Characters; of 10,000 words, a model reads the first few dozen."""

MOST_QUERIES = 32
"""In one request; so many texts are encoded in one batch."""
MOST_FOLDED = 1000
"""Hits, from the first on; every one of them is compared with all others."""

Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
Condition = Annotated[str, Field(max_length=1000)]


class Page(BaseModel):
    """Which of the photos that fit are wanted."""

    model_config = ConfigDict(extra="forbid")

    k: int = Field(10, ge=1, le=200, description="How many photos.")
    offset: int = Field(0, ge=0, le=10_000, description="How many to skip, for another page.")
    where: list[Condition] = Field(
        [], max_length=32, description=f"Conditions that all have to hold, such as {EXAMPLES}."
    )
    threshold: float | None = Field(
        None, allow_inf_nan=False, description="Only photos whose score is as large."
    )
    fold: bool = Field(False, description="Put near-duplicates under the best of them.")

    @model_validator(mode="after")
    def _folds_the_first(self) -> Self:
        if self.fold and self.offset + self.k > MOST_FOLDED:
            raise ValueError(f"near-duplicates are folded among the first {MOST_FOLDED} hits alone")
        return self

    def find_many(self, index: Index, queries: Sequence[Query]) -> list[list[Hit]]:
        """Search for each of several queries.

        Raises:
            DataError: a condition is none, or a text has no words in it.
        """
        return index.find_many(
            queries,
            self.k,
            offset=self.offset,
            where=Filter.parse(self.where),
            threshold=self.threshold,
            fold=self.fold,
        )


class Words(BaseModel):
    """What photos should show, or which photo of the index they should be like."""

    model_config = ConfigDict(extra="forbid")

    text: Text = Field("", description="What the photos show.")
    like: UUID | None = Field(None, description="The id of a photo that they should be like.")
    without: list[Text] = Field([], max_length=16, description="What they should not show.")
    share: float = Field(
        0.5, ge=0, le=1, description="What a photo counts beside the text, which counts the rest."
    )

    def query(self) -> Query:
        """As the search takes it.

        Raises:
            DataError: nothing is asked for.
        """
        like = None if self.like is None else str(self.like)
        return Query(self.text, like=like, without=tuple(self.without), photo_share=self.share)


class TextSearch(Page, Words):
    """Photos that show something, or that are like one of the index."""


class BatchSearch(Page):
    """Several of them at once; the same page of each."""

    queries: list[Words] = Field(min_length=1, max_length=MOST_QUERIES)


class PhotoSearch(Page):
    """Photos like one that is sent along."""

    photo: UploadFile = Field(description="A JPEG, PNG, WebP, GIF, BMP or TIFF file.")
    text: Text = Field("", description="What the photos show beside that.")
    without: list[Text] = Field([], max_length=16, description="What they should not show.")
    share: float = Field(
        0.5, ge=0, le=1, description="What a photo counts beside the text, which counts the rest."
    )


class FoundPhoto(BaseModel):
    """A photo that a search found."""

    id: str
    path: str = Field(description="Below the folder that was indexed.")
    score: float
    levels: dict[str, float] = Field(description="Similarity by level.")
    duplicates: list[str] = Field(description="Paths of near-duplicates, where they are folded.")

    @classmethod
    def of(cls, hit: Hit, root: PurePath) -> Self:
        """A hit, without where the folder lies."""
        return cls(
            id=hit.id,
            path=hit.path.relative_to(root).as_posix(),
            score=hit.score,
            levels=hit.levels,
            duplicates=[path.relative_to(root).as_posix() for path in hit.duplicates],
        )


class Found(BaseModel):
    """Photos, best first."""

    hits: list[FoundPhoto]


class FoundBatch(BaseModel):
    """What was found for each query, in their order."""

    results: list[Found]


class Item(BaseModel):
    """What the index remembers of a photo."""

    id: str
    path: str = Field(description="Below the folder that was indexed.")
    bytes: int
    taken: str | None = Field(description="By the camera's own clock, without a time zone.")
    camera: str
    tags: list[str]

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """An entry, without what is of use to indexing alone."""
        taken = None
        if entry.taken is not None:
            taken = datetime.fromtimestamp(entry.taken, UTC).replace(tzinfo=None).isoformat()
        return cls(
            id=entry.id,
            path=entry.path,
            bytes=entry.size,
            taken=taken,
            camera=entry.camera,
            tags=list(entry.tags),
        )


class PhotoToAdd(BaseModel):
    """A photo for the folder and the index."""

    model_config = ConfigDict(extra="forbid")

    photo: UploadFile = Field(description="A JPEG, PNG, WebP, GIF, BMP or TIFF file.")
    path: str = Field(
        min_length=1,
        max_length=500,
        description="Where it goes below the folder that was indexed, such as 2023/italy/dog.jpg.",
    )
    tags: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(
        [],
        max_length=100,
        description="Beside those in the photo; kept in the index, and not in the file.",
    )
    replace: bool = Field(False, description="Whether it may take the place of another photo.")

    def clean_tags(self) -> tuple[str, ...]:
        """As filters compare them.

        Raises:
            DataError: one has nothing in it that can be seen.
        """
        tags = tuple(dict.fromkeys(clean_tag(tag) for tag in self.tags))
        if not all(tag and tag.isprintable() for tag in tags):
            raise DataError("tags: one is empty, or has characters that cannot be seen")
        return tags


class ExplainRequest(BaseModel):
    """A photo of the index and a sentence."""

    model_config = ConfigDict(extra="forbid")

    id: UUID
    text: Text


class Level(BaseModel):
    """What one level adds to S."""

    weight: float
    similarity: float
    part: float


class Word(BaseModel):
    """A word of the sentence, and how similar it is to each region."""

    text: str
    start: int
    end: int
    weight: float
    weights: list[float]
    part: float
    region: int
    similarity: list[float]
    pieces: list[list[float]]


class Explained(BaseModel):
    """S taken apart; see `hgan.runtime.explain.Explanation`."""

    text: str
    score: float
    levels: dict[str, Level]
    slots: list[float]
    boxes: list[list[float]]
    words: list[Word]


class BundleName(BaseModel):
    """A model."""

    name: str
    id: str


class Engine(BaseModel):
    """How the index is kept; null where that is not known."""

    engine: Literal["edge", "server"] = Field(
        description="Embedded in the service, or a Qdrant server."
    )
    bytes_on_disk: int | None
    changed: datetime | None = Field(description="When photos were last added or removed.")
    optimizing: bool | None = Field(description="Whether points are being arranged right now.")
    shards: int | None = Field(description="Parts of the collection.")
    replicas: int | None = Field(description="Copies of each part.")
    write_consistency: int | None = Field(
        description="Copies that must have a change before it counts as written."
    )

    @classmethod
    def of(cls, facts: StoreFacts) -> Self:
        """What a store says of itself."""
        values = asdict(facts)
        if facts.changed is not None:
            values["changed"] = datetime.fromtimestamp(facts.changed, UTC)
        return cls(**values)


class Status(BaseModel):
    """What is served."""

    version: str
    name: str = Field(description="Of the folder that was indexed.")
    photos: int
    adding: int = Field(description="Photos that are being added now.")
    index: Engine
    bundle: BundleName
    weights: dict[str, float] = Field(description="Of the levels in the score.")
    thumbnails: list[Size] = Field(description="Sizes that there are.")
    manageable: bool = Field(description="Whether keys are configured.")


class Health(BaseModel):
    """That it lives, or that it can be asked."""

    status: str
