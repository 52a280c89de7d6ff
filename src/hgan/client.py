"""A client for the service of `hgan serve`, with the methods of a local index.

It needs no more packages than a local search. Paths of hits are relative to the folder that the
service has indexed.
"""

import io
import json
from collections.abc import Sequence
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen
from uuid import UUID, uuid4

import numpy as np
from PIL import Image

from hgan.chunks import chunks
from hgan.errors import DataError, HganError, IndexingError
from hgan.runtime.explain import Explanation
from hgan.runtime.images import PhotoSource, read_photo
from hgan.search.finder import Finder, Hit, SearchOptions
from hgan.search.ids import id_of_path
from hgan.search.query import Query

MOST_QUERIES = 32
"""Maximum number of queries that the service accepts in one request."""


class Client(Finder):
    """A client for a service that `hgan serve` runs; all methods are thread-safe."""

    def __init__(self, url: str, key: str | None = None, timeout: float = 60.0) -> None:
        """Create a client; no request is sent yet.

        Args:
            url: URL of the service, such as http://127.0.0.1:8000, including the path prefix of a
                proxy if there is one.
            key: an API key, if the service requires one.
            timeout: seconds to wait for a response.

        Raises:
            DataError: the address is not an HTTP address.
        """
        if not url.startswith(("http://", "https://")):
            raise DataError(f"{url!r} is not an address; write one such as http://127.0.0.1:8000")
        self._url = url.rstrip("/")
        self._key = key
        self._timeout = timeout

    def explain(self, item: str, text: str) -> Explanation:
        """Explain the similarity of a photo in the index to a sentence; see `Finder.explain`."""
        answer = self._ask_json("/v1/explain", {"id": _id(item), "text": text})
        try:
            return Explanation.from_dict(answer)
        except (KeyError, TypeError, ValueError) as error:
            raise IndexingError(
                f"{self._url}: this version cannot read the service's explanation ({error!r})"
            ) from error

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
        return self._ask("POST", "/v1/items", *_form(values, _bytes(photo)))

    def remove(self, item: str) -> None:
        """Remove a photo, given by its id or path, from the index, but keep its file.

        It requires an API key.
        """
        self._ask("DELETE", f"/v1/items/{_id(item)}")

    def status(self) -> dict[str, Any]:
        """The index and the model of the service."""
        return self._ask("GET", "/v1/status")

    def __len__(self) -> int:
        return int(self.status()["photos"])

    def close(self) -> None:
        """Does nothing: no connection is kept open between requests."""

    def _find(self, queries: Sequence[Query], options: SearchOptions) -> list[list[Hit]]:
        """The hits of each query; queries without an uploaded photo are sent in batches."""
        page = _page(options)
        if len(queries) == 1 and queries[0].photo is None:
            answer = self._ask_json("/v1/search", page | _words(queries[0]))
            return [[_hit(hit) for hit in answer["hits"]]]
        found: dict[int, list[Hit]] = {}
        words = [row for row, query in enumerate(queries) if query.photo is None]
        for rows in chunks(words, MOST_QUERIES):
            asked = page | {"queries": [_words(queries[row]) for row in rows]}
            answer = self._ask_json("/v1/search/batch", asked)
            for row, result in zip(rows, answer["results"], strict=True):
                found[row] = [_hit(hit) for hit in result["hits"]]
        for row, query in enumerate(queries):
            if query.photo is not None:
                found[row] = self._find_photo(query, page)
        return [found[row] for row in range(len(queries))]

    def _find_photo(self, query: Query, page: dict[str, Any]) -> list[Hit]:
        assert query.photo is not None
        if query.like is not None:
            raise DataError(
                "a service searches with an uploaded photo or with a photo of its index, not both"
            )
        form = _form(page | _words(query), _bytes(query.photo))
        return [_hit(hit) for hit in self._ask("POST", "/v1/search/photo", *form)["hits"]]

    def _ask_json(self, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        return self._ask("POST", path, json.dumps(asked).encode(), "application/json")

    def _ask(
        self, method: str, path: str, body: bytes | None = None, media_type: str = ""
    ) -> dict[str, Any]:
        headers = {"Accept": "application/json"}
        if media_type:
            headers["Content-Type"] = media_type
        if self._key is not None:
            headers["X-API-Key"] = self._key
        request = Request(self._url + path, body, headers, method=method)
        try:
            with urlopen(request, timeout=self._timeout) as response:
                return _answer(response)
        except HTTPError as error:
            raise _refusal(self._url, error) from error
        except (URLError, HTTPException, OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise IndexingError(
                f"{self._url}: the service does not answer ({reason}); is it running there?"
            ) from error


def _answer(response: HTTPResponse) -> dict[str, Any]:
    content = response.read()
    answer: dict[str, Any] = json.loads(content) if content else {}
    return answer


def _refusal(url: str, error: HTTPError) -> HganError:
    try:
        detail = json.loads(error.read())["detail"]
    except (ValueError, KeyError, TypeError, OSError):
        detail = error.reason
    kind = DataError if error.code < 500 and error.code != 429 else IndexingError
    return kind(f"{url}: {detail} (status {error.code})")


def _page(options: SearchOptions) -> dict[str, Any]:
    if options.candidates is not None:
        raise DataError("a service chooses the number of candidates itself; omit candidates")
    asked: dict[str, Any] = {
        "k": options.k,
        "offset": options.offset,
        "where": list(options.where.conditions()),
        "fold": options.fold,
    }
    return asked if options.threshold is None else asked | {"threshold": options.threshold}


def _words(query: Query) -> dict[str, Any]:
    asked = {"text": query.text, "without": list(query.without), "share": query.photo_share}
    return asked if query.like is None else asked | {"like": _id(query.like)}


def _id(item: str) -> str:
    """The id of an item, given by its id or by its path relative to the indexed folder."""
    try:
        return str(UUID(item))
    except ValueError:
        return id_of_path(PurePosixPath(item).as_posix())


def _hit(hit: dict[str, Any]) -> Hit:
    duplicates = tuple(Path(path) for path in hit["duplicates"])
    return Hit(Path(hit["path"]), hit["score"], hit["levels"], hit["id"], duplicates)


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
    try:
        return Path(photo).read_bytes()
    except OSError as error:
        raise DataError(f"{photo}: cannot be read ({error.strerror})") from error


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
