"""A client for the service of `hgan serve`, with the methods of a local index.

The service is not trusted: its answers are checked (`hgan.answers`), and requests are bounded and
never redirected (`hgan.requester`). Paths of hits are relative to the folder that the service has
indexed.
"""

import io
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode
from uuid import UUID, uuid4

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hgan.answers import (
    BatchSearchResult,
    ExplanationResult,
    Item,
    SearchHit,
    SearchResult,
    TimelineResult,
)
from hgan.chunks import chunks
from hgan.errors import DataError, IndexingError
from hgan.index.conditions.filter import Filter
from hgan.requester import Requester
from hgan.runtime.explain import Explanation
from hgan.runtime.images import PhotoSource, not_a_photo, read_photo
from hgan.runtime.photo_file import read_file
from hgan.search.browsing import PAGE, TimelinePhoto
from hgan.search.finder import Finder, Hit, SearchOptions
from hgan.search.query import Query

MOST_QUERIES = 32
"""Maximum number of queries that the service accepts in one request."""

Answer = TypeVar("Answer", bound=BaseModel)


class _Status(BaseModel):
    """The status of a service; only the number of photos is used here."""

    model_config = ConfigDict(extra="allow")

    photos: Annotated[int, Field(ge=0)]


class Client(Finder):
    """A client for a service that `hgan serve` runs; all methods are thread-safe."""

    def __init__(self, url: str, key: str | None = None, timeout: float = 60.0) -> None:
        """Create a client; no request is sent yet.

        Args:
            url: URL of the service, such as http://127.0.0.1:8000, including the path prefix of a
                proxy if there is one.
            key: an API key, if the service requires one.
            timeout: seconds for a whole request with its response.

        Raises:
            DataError: the address is not an HTTP address, or the key cannot be sent.
        """
        self._requester = Requester(url, key, timeout)

    def explain(self, item: str, text: str) -> Explanation:
        """Explain the similarity of a photo in the index to a sentence; see `Finder.explain`."""
        asked = {"id": self.id_of(item), "text": text}
        answer = self._ask_json("/v1/explain", asked, ExplanationResult)
        return Explanation.from_dict(answer.model_dump())

    def add(
        self, photo: PhotoSource, path: str, tags: tuple[str, ...] = (), replace: bool = False
    ) -> dict[str, Any]:
        """Store a photo in the folder and add it to the index; requires an API key.

        Args:
            photo: a file, its bytes, or an image, which is sent as a PNG.
            path: path of the new photo, relative to the folder that the service has indexed.
            tags: tags in addition to those in the photo; stored in the index, not in the file.
            replace: whether to overwrite an existing photo.

        Returns:
            The stored metadata, with its `id`.

        Raises:
            DataError: the service rejects the request, or the photo cannot be read.
            IndexingError: the service does not answer, or is too busy.
        """
        values = {"path": path, "tags": list(tags), "replace": replace}
        form = _form(values, _bytes(photo))
        return self._checked(self._requester.ask("POST", "/v1/items", *form), Item).model_dump()

    def remove(self, item: str) -> None:
        """Remove a photo, given by its id or path, from the index, but keep its file.

        It requires an API key. A video is removed with all its frames, also by the id or path of
        one of them.
        """
        self._requester.ask("DELETE", f"/v1/items/{self.id_of(item)}")

    def id_of(self, item: str) -> str:
        """The id of a photo, given by its id or by its path relative to the indexed folder.

        The service knows which id a path has; it cannot be computed.

        Raises:
            DataError: no photo of the index has this path.
            IndexingError: the service does not answer.
        """
        try:
            return str(UUID(item))
        except ValueError:
            asked = {"path": PurePosixPath(item).as_posix()}
            return self._ask_json("/v1/lookup", asked, Item).id

    def status(self) -> dict[str, Any]:
        """The index and the model of the service."""
        answer = self._checked(self._requester.ask("GET", "/v1/status"), _Status)
        return answer.model_dump()

    def __len__(self) -> int:
        return int(self.status()["photos"])

    def close(self) -> None:
        """Close the connections; another request opens them again."""
        self._requester.close()

    def _find(self, queries: Sequence[Query], options: SearchOptions) -> list[list[Hit]]:
        """The hits of each query; queries without an uploaded photo are sent in batches."""
        page = _page(options)
        if len(queries) == 1 and queries[0].photo is None:
            asked = page | self._words(queries[0])
            return [_hits(self._ask_json("/v1/search", asked, SearchResult))]
        found: dict[int, list[Hit]] = {}
        words = [row for row, query in enumerate(queries) if query.photo is None]
        for rows in chunks(words, MOST_QUERIES):
            asked = page | {"queries": [self._words(queries[row]) for row in rows]}
            results = self._ask_json("/v1/search/batch", asked, BatchSearchResult).results
            if len(results) != len(rows):
                raise IndexingError(
                    f"{self._requester.url}: {len(results)} results for {len(rows)} queries; is it "
                    "a service of hgan?"
                )
            found |= {row: _hits(result) for row, result in zip(rows, results, strict=True)}
        for row, query in enumerate(queries):
            if query.photo is not None:
                found[row] = self._find_photo(query, page)
        return [found[row] for row in range(len(queries))]

    def _browse(self, where: Filter, fold: bool) -> Iterator[TimelinePhoto]:
        asked = [("k", str(PAGE)), *(("where", text) for text in where.conditions())]
        if fold:
            asked.append(("fold", "true"))
        cursor: str | None = ""
        while cursor is not None:
            query = urlencode([*asked, *([("cursor", cursor)] if cursor else [])])
            answer = self._checked(self._requester.ask("GET", f"/v1/items?{query}"), TimelineResult)
            for item in answer.items:
                taken = None if item.taken is None else datetime.fromisoformat(item.taken)
                size = item.width, item.height
                moment = item.moment, item.frame
                copies = tuple(map(Path, item.duplicates)), tuple(item.duplicate_ids)
                yield TimelinePhoto(
                    Path(item.path), item.id, taken, item.file_time, *size, *moment, *copies
                )
            cursor = answer.cursor if answer.items else None  # or it would never end

    def _find_photo(self, query: Query, page: dict[str, Any]) -> list[Hit]:
        assert query.photo is not None
        if query.like is not None:
            raise DataError(
                "a service searches with an uploaded photo or with a photo of its index, not both"
            )
        form = _form(page | self._words(query), _bytes(query.photo))
        answer = self._requester.ask("POST", "/v1/search/photo", *form)
        return _hits(self._checked(answer, SearchResult))

    def _words(self, query: Query) -> dict[str, Any]:
        asked = {"text": query.text, "without": list(query.without), "share": query.photo_share}
        return asked if query.like is None else asked | {"like": self.id_of(query.like)}

    def _ask_json(self, path: str, asked: dict[str, Any], kind: type[Answer]) -> Answer:
        body = json.dumps(asked).encode()
        return self._checked(self._requester.ask("POST", path, body, "application/json"), kind)

    def _checked(self, content: bytes, kind: type[Answer]) -> Answer:
        """Parse an answer.

        Raises:
            IndexingError: it is not what a service of this version answers.
        """
        try:
            return kind.model_validate_json(content)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"])[:200]
            shown = f"{place}: {first['msg']}".encode("unicode_escape").decode()
            raise IndexingError(
                f"{self._requester.url}: the answer is not valid ({shown}); is it a service of "
                "this version of hgan?"
            ) from None


def _page(options: SearchOptions) -> dict[str, Any]:
    if options.candidates is not None:
        raise DataError("a service chooses the number of candidates itself; omit candidates")
    asked: dict[str, Any] = {
        "k": options.k,
        "offset": options.offset,
        "where": list(options.where.conditions()),
        "fold": options.fold,
    }
    bounds = {"threshold": options.threshold, "min_relevance": options.min_relevance}
    return asked | {name: value for name, value in bounds.items() if value is not None}


def _hits(result: SearchResult) -> list[Hit]:
    return [_hit(hit) for hit in result.hits]


def _hit(hit: SearchHit) -> Hit:
    duplicates = tuple(Path(path) for path in hit.duplicates)
    path = Path(hit.path)
    return Hit(
        path,
        hit.score,
        hit.levels,
        hit.id,
        duplicates,
        relevance=hit.relevance,
        width=hit.width,
        height=hit.height,
        taken=None if hit.taken is None else datetime.fromisoformat(hit.taken),
        moment=hit.moment,
        frame=hit.frame,
        duplicate_ids=tuple(hit.duplicate_ids),
    )


def _bytes(photo: PhotoSource) -> bytes:
    if isinstance(photo, bytes):
        return photo
    if isinstance(photo, np.ndarray):
        photo = read_photo(photo)
    if isinstance(photo, Image.Image):
        file = io.BytesIO()
        try:
            photo.save(file, "PNG")
        except (OSError, ValueError) as error:
            raise DataError(f"photo: cannot be sent ({error})") from error
        return file.getvalue()
    if isinstance(photo, str | Path):
        return read_file(Path(photo))[0]
    raise DataError(not_a_photo(photo))


def _form(values: dict[str, Any], photo: bytes) -> tuple[bytes, str]:
    """Encode a form with a photo (RFC 7578); returns the body and its media type."""
    boundary = uuid4().hex
    parts = []
    for name, value in values.items():
        for one in value if isinstance(value, list) else [value]:
            text = one if isinstance(one, str) else json.dumps(one)
            parts.append(f'Content-Disposition: form-data; name="{name}"\r\n\r\n{text}'.encode())
    parts.append(b'Content-Disposition: form-data; name="photo"; filename="photo"\r\n\r\n' + photo)
    mark = f"--{boundary}\r\n".encode()
    body = b"".join(mark + part + b"\r\n" for part in parts)
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"
