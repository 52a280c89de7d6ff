"""The answers of a service, which `hgan.serve` sends and `hgan.client` checks.

The client does not trust the service: an answer with other types, numbers that are not finite, ids
that are no UUIDs, or paths that lead out of the folder of photos is refused as a whole.
"""

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import PurePath, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator

from hgan.index.store.contract import Entry
from hgan.runtime.video import FRAMES
from hgan.search.browsing import Shown, time_of
from hgan.search.calibration import Grade
from hgan.search.finder import Hit
from hgan.search.language.types import Kind, Parsed
from hgan.sources.roots import Roots


def _relative(path: str) -> str:
    """The path, if it is below a folder, on this system and on POSIX."""
    if not path or "\0" in path:
        raise ValueError("a path must not be empty or contain NUL")
    for parsed in (PurePosixPath(path), PurePath(path)):
        if parsed.anchor or ".." in parsed.parts:
            raise ValueError("a path must be relative, without ..")
    return path


def _local_time(text: str) -> str:
    """The text, if it is an ISO 8601 time."""
    datetime.fromisoformat(text)
    return text


Number = Annotated[float, Field(allow_inf_nan=False)]
Pixels = Annotated[int, Field(ge=0)]
RelativePath = Annotated[str, AfterValidator(_relative)]
LocalTime = Annotated[str, AfterValidator(_local_time)]
Moment = Annotated[float, Field(ge=0, allow_inf_nan=False)]
MOMENT = "For a frame of a video, seconds since its start; null for a photo."
FrameNumber = Annotated[int, Field(ge=1, le=FRAMES)]
FRAME = "Number of the frame in the video at `path`; null for a photo."
PhotoId = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]


class SearchHit(BaseModel):
    """A photo in the results of a search."""

    id: PhotoId
    path: RelativePath = Field(description="Path relative to the indexed folder.")
    score: Number
    levels: dict[str, Number] = Field(description="Similarity at each level.")
    duplicates: list[RelativePath] = Field(
        description="Paths of the near-duplicates that are folded into this hit."
    )
    duplicate_ids: list[PhotoId] = Field([], description="Their ids, in the same order.")
    relevance: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None,
        description="How relevant the photo is, comparable between queries; null if not known.",
    )
    grade: Grade | None = Field(None, description="The word for the relevance.")
    width: Pixels = Field(0, description="Width of the upright photo in pixels; 0 if unknown.")
    height: Pixels = Field(0, description="Height of the upright photo in pixels; 0 if unknown.")
    taken: LocalTime | None = Field(
        None, description="Local time of the camera, without a time zone."
    )
    moment: Moment | None = Field(None, description=MOMENT)
    frame: FrameNumber | None = Field(None, description=FRAME)

    @classmethod
    def of(cls, hit: Hit, roots: Roots, public: Callable[[str], str]) -> Self:
        """The hit with the ids that `public` gives, and paths in the index."""
        duplicates = [roots.inside(path) for path in hit.duplicates]
        return cls(
            id=public(hit.id),
            path=roots.inside(hit.path),
            score=hit.score,
            levels=hit.levels,
            duplicates=duplicates,
            duplicate_ids=[public(key) for key in hit.duplicate_ids],
            relevance=hit.relevance,
            grade=hit.grade,
            width=hit.width,
            height=hit.height,
            taken=None if hit.taken is None else hit.taken.isoformat(),
            moment=hit.moment,
            frame=hit.frame,
        )


class UnderstoodPart(BaseModel):
    """A part of a line that is not just words."""

    kind: Kind = Field(
        description="A condition; `without`, what photos should not show; or the name of a field "
        "without a value, which is ignored."
    )
    start: Annotated[int, Field(ge=0)] = Field(description="Where it starts, in code points.")
    end: Annotated[int, Field(ge=0)] = Field(description="Where it ends.")
    label: str = Field(description="What it means, in words.")


class Understood(BaseModel):
    """How the line `q` of a search was understood."""

    text: str = Field(description="The words that are searched for.")
    without: list[str] = Field(description="What photos should not show.")
    where: list[str] = Field(description="The conditions, as in `where` of a request.")
    parts: list[UnderstoodPart] = Field(description="Everything but the words, in order.")

    @classmethod
    def of(cls, parsed: Parsed) -> Self:
        """From the language's own type."""
        return cls(
            text=parsed.text,
            without=list(parsed.without),
            where=list(parsed.where.conditions()),
            parts=[UnderstoodPart(**asdict(part)) for part in parsed.parts],
        )


class SearchResult(BaseModel):
    """Photos, best first."""

    hits: list[SearchHit]
    notices: list[str] = Field(
        [],
        description="What a person should know, such as words that the model does not know; with "
        "the first page only.",
    )
    suggestion: str | None = Field(None, description="The text with misspelled words corrected.")
    parsed: Understood | None = Field(
        None, description="How `q` was understood; null for requests with `text`."
    )


class SuggestedText(BaseModel):
    """What can replace a part of a line."""

    text: str
    start: Annotated[int, Field(ge=0)] = Field(description="Where the part starts, in code points.")
    end: Annotated[int, Field(ge=0)] = Field(description="Where it ends.")
    kind: Literal["field", "value"] = Field(description="A field, which needs a value, or both.")
    photos: Annotated[int, Field(ge=0)] | None = Field(
        description="How many photos have the value; null if that is not known."
    )


class SuggestResult(BaseModel):
    """Suggestions, the best first."""

    suggestions: list[SuggestedText]


class BatchSearchResult(BaseModel):
    """The results of each query, in the order of the queries."""

    results: list[SearchResult]


class Item(BaseModel):
    """The stored metadata of a photo."""

    id: PhotoId
    path: RelativePath = Field(description="Path relative to the indexed folder.")
    bytes: Annotated[int, Field(ge=0)]
    taken: LocalTime | None = Field(description="Local time of the camera, without a time zone.")
    camera: str
    tags: list[str]
    rating: Annotated[int, Field(ge=0, le=5)] | None = Field(
        None, description="Stars; null if the photo was never rated."
    )
    people: list[str] = Field([], description="People that other programs have named in it.")
    city: str = Field("", description="The nearest city; empty if unknown.")
    country: str = ""
    width: Pixels = Field(0, description="Width of the upright photo in pixels; 0 if unknown.")
    height: Pixels = Field(0, description="Height of the upright photo in pixels; 0 if unknown.")
    file_time: bool = Field(
        False,
        description="Whether `taken` is the time of the last change of the file, because the photo "
        "has none.",
    )
    moment: Moment | None = Field(None, description=MOMENT)
    frame: FrameNumber | None = Field(None, description=FRAME)

    @classmethod
    def of(cls, entry: Entry, public_id: str) -> Self:
        """The public part of an index entry, with its public id."""
        taken = time_of(entry)
        return cls(
            id=public_id,
            path=entry.file,
            bytes=entry.size,
            taken=None if taken is None else taken.isoformat(),
            camera=entry.camera,
            tags=list(entry.tags),
            rating=entry.rating,
            people=list(entry.people),
            city=entry.city,
            country=entry.country,
            width=entry.width,
            height=entry.height,
            file_time=entry.file_time,
            moment=entry.moment,
            frame=entry.frame,
        )


class TimelineItem(Item):
    """A photo of the timeline."""

    duplicates: list[RelativePath] = Field(
        [], description="Paths of the copies that are folded into this photo."
    )
    duplicate_ids: list[PhotoId] = Field([], description="Their ids, in the same order.")

    @classmethod
    def of_shown(cls, shown: Shown, public: Callable[[str], str]) -> Self:
        """A photo and its copies, with the ids that `public` gives."""
        item = cls.of(shown.entry, public(shown.entry.id))
        item.duplicates = [copy.file for copy in shown.copies]
        item.duplicate_ids = [public(copy.id) for copy in shown.copies]
        return item


class TimelineResult(BaseModel):
    """Photos in the order of time, the newest first; those without a time last."""

    items: list[TimelineItem]
    cursor: str | None = Field(
        None, description="Where the next page starts; null after the last page."
    )


Box = Annotated[list[Number], Field(min_length=4, max_length=4)]
"""x0 y0 x1 y1 in 0..1 of the upright photo."""


class Level(BaseModel):
    """The contribution of one level to the score."""

    weight: Number
    similarity: Number
    part: Number


class Word(BaseModel):
    """A word of the sentence and its similarity to each region."""

    text: str
    start: int
    end: int
    weight: Number
    weights: list[Number] = Field(min_length=1)
    part: Number
    region: int
    sure: bool = Field(False, description="Whether the word has a clear place in the photo.")
    similarity: list[Number]
    pieces: list[list[Number]] = Field(min_length=1)


class Patches(BaseModel):
    """The similarity of each patch of the photo and the whole sentence, by a dual encoder."""

    source: str = Field(description="What this is, and how exact.")
    region: Annotated[int, Field(ge=0)]
    similarity: list[Number] = Field(min_length=1)


class ExplanationResult(BaseModel):
    """The parts of a score; see `hgan.runtime.explain.Explanation`."""

    text: str
    score: Number
    levels: dict[str, Level]
    probability: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="That photo and text match, if the model was trained to give it."
    )
    slots: list[Number]
    boxes: list[Box]
    words: list[Word]
    patches: Patches | None = Field(
        None, description="For a dual encoder; its boxes are those of the patches."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for word in self.words:
            if len(word.weights) != len(word.pieces):
                raise ValueError("a word needs a weight for each of its tokens")
            if not self.boxes or any(len(row) != len(self.boxes) for row in word.pieces):
                raise ValueError("a token needs a similarity to each region")
            if not 0 <= word.start <= word.end <= len(self.text):
                raise ValueError("a word must be a part of the sentence")
        if self.patches is not None and not (
            self.patches.region < len(self.patches.similarity) == len(self.boxes)
        ):
            raise ValueError("each patch needs a similarity and a box")
        return self
