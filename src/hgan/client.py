"""Ask a service that `hgan serve` runs, with the methods of an index that is open here.

The standard library is all that it needs beside what searching needs. Paths of hits are relative
to the folder that the service has indexed.
"""

import io
import json
from collections.abc import Sequence
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen
from uuid import uuid4

from PIL import Image

from hgan.errors import DataError, HganError, IndexingError
from hgan.search.query import PhotoSource, Query
from hgan.search.searcher import Hit

MOST_QUERIES = 32
"""That the service takes in one request."""


class Client:
    """A service; several threads may ask at once."""

    def __init__(self, url: str, key: str | None = None, timeout: float = 60.0) -> None:
        """Nothing is asked yet.

        Args:
            url: of the service, such as http://127.0.0.1:8000, with the prefix that a proxy serves
                it under.
            key: one of its keys, where it requires one.
            timeout: seconds to wait for an answer.

        Raises:
            DataError: the address is none.
        """
        if not url.startswith(("http://", "https://")):
            raise DataError(f"{url!r} is no address; write one such as http://127.0.0.1:8000")
        self._url = url.rstrip("/")
        self._key = key
        self._timeout = timeout

    def find(
        self,
        query: Query,
        k: int = 10,
        *,
        offset: int = 0,
        where: tuple[str, ...] = (),
        threshold: float | None = None,
        fold: bool = False,
    ) -> list[Hit]:
        """The photos that fit a query best, best first; see `hgan.search.searcher.Index.find`.

        Args:
            query: what to search for; `like` is the id of a photo.
            k: how many hits.
            offset: how many to skip, for another page.
            where: conditions, as `hgan.index.store.filter` reads them.
            threshold: only photos whose score is as large.
            fold: put photos that are nearly the same under the best of them.

        Raises:
            DataError: the service refuses the query, or the photo cannot be read.
            IndexingError: it does not answer, or cannot answer now.
        """
        page = _page(k, offset, where, threshold, fold)
        if query.photo is not None:
            return self._find_photo(query, page)
        found = self._ask_json("/v1/search", page | _words(query))
        return [_hit(hit) for hit in found["hits"]]

    def find_many(
        self,
        queries: Sequence[Query],
        k: int = 10,
        *,
        offset: int = 0,
        where: tuple[str, ...] = (),
        threshold: float | None = None,
        fold: bool = False,
    ) -> list[list[Hit]]:
        """What `find` finds for each query; those without a photo of their own go in batches.

        Raises:
            DataError: the service refuses a query, or a photo cannot be read.
            IndexingError: it does not answer, or cannot answer now.
        """
        page = _page(k, offset, where, threshold, fold)
        found: dict[int, list[Hit]] = {}
        words = [row for row, query in enumerate(queries) if query.photo is None]
        for start in range(0, len(words), MOST_QUERIES):
            rows = words[start : start + MOST_QUERIES]
            asked = page | {"queries": [_words(queries[row]) for row in rows]}
            answer = self._ask_json("/v1/search/batch", asked)
            for row, result in zip(rows, answer["results"], strict=True):
                found[row] = [_hit(hit) for hit in result["hits"]]
        for row, query in enumerate(queries):
            if query.photo is not None:
                found[row] = self._find_photo(query, page)
        return [found[row] for row in range(len(queries))]

    def search(self, text: str, k: int = 10, where: tuple[str, ...] = ()) -> list[Hit]:
        """The k photos that fit a sentence best, best first."""
        return self.find(Query(text), k, where=where)

    def search_image(
        self, photo: PhotoSource, k: int = 10, where: tuple[str, ...] = ()
    ) -> list[Hit]:
        """The k photos most like a photo, given as a file, its bytes or an image."""
        return self.find(Query(photo=photo), k, where=where)

    def explain(self, key: str, text: str) -> dict[str, Any]:
        """Why a photo, named by its id, matches a sentence; see `Explanation.as_dict`."""
        return self._ask_json("/v1/explain", {"id": key, "text": text})

    def add(
        self, photo: PhotoSource, path: str, tags: tuple[str, ...] = (), replace: bool = False
    ) -> dict[str, Any]:
        """Store a photo in the folder and take it into the index; needs a key.

        Args:
            photo: a file, its bytes or an image, which is sent as a PNG.
            path: where it goes below the folder that the service has indexed.
            tags: beside those in the photo; kept in the index, and not in the file.
            replace: whether it may take the place of another photo.

        Returns:
            What the service remembers of it, its `id` among that.

        Raises:
            DataError: the service refuses it, or the photo cannot be read.
            IndexingError: the service does not answer, or cannot take it now.
        """
        values = {"path": path, "tags": list(tags), "replace": replace}
        return self._ask("POST", "/v1/items", *_form(values, _bytes(photo)))

    def remove(self, key: str) -> None:
        """Take a photo, named by its id, out of the index; needs a key."""
        self._ask("DELETE", f"/v1/items/{key}")

    def status(self) -> dict[str, Any]:
        """What is served."""
        return self._ask("GET", "/v1/status")

    def __len__(self) -> int:
        return int(self.status()["photos"])

    def __bool__(self) -> bool:
        """A client is one, however many photos there are; asking for that is no network call."""
        return True

    def close(self) -> None:
        """Nothing is kept open between two questions."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _find_photo(self, query: Query, page: dict[str, Any]) -> list[Hit]:
        assert query.photo is not None
        if query.like is not None:
            raise DataError("a service takes a photo or the id of one to be like, not both")
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


def _page(
    k: int, offset: int, where: tuple[str, ...], threshold: float | None, fold: bool
) -> dict[str, Any]:
    asked: dict[str, Any] = {"k": k, "offset": offset, "where": list(where), "fold": fold}
    return asked if threshold is None else asked | {"threshold": threshold}


def _words(query: Query) -> dict[str, Any]:
    asked = {"text": query.text, "without": list(query.without), "share": query.photo_share}
    return asked if query.like is None else asked | {"like": query.like}


def _hit(hit: dict[str, Any]) -> Hit:
    duplicates = tuple(Path(path) for path in hit["duplicates"])
    return Hit(Path(hit["path"]), hit["score"], hit["levels"], hit["id"], duplicates)


def _bytes(photo: PhotoSource) -> bytes:
    if isinstance(photo, bytes):
        return photo
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
    """A form with a photo (RFC 7578), and its media type."""
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
