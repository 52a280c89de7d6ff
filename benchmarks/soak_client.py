"""A client of the soak test, see `soak.py`: it does one thing after another, and checks answers."""

import asyncio
import random
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from hgan.answers import BatchSearchResult, Item, SearchResult

if TYPE_CHECKING:
    from soak import Soak

BUSY = {
    503: (
        "too many requests are waiting; try again",
        "too many photos are being uploaded; try again",
        "too much data is being received; try again",
    ),
    504: ("the request took more than 30 seconds; request less",),
}
"""The answers of a service that has too much to do."""
EACH = 4
"""Photos that each client uploads, replaces and deletes."""
MIX = {"words": 40, "batch": 12, "photo": 16, "upload": 20, "delete": 12}
"""What a client does next, in percent."""

Answer = TypeVar("Answer", bound=BaseModel)


class Client:
    """A client that does one thing after another, and owns a few paths."""

    def __init__(self, soak: "Soak", http: httpx.AsyncClient, number: int) -> None:
        """Create the client with this number."""
        self._soak = soak
        self._truth = soak.truth
        self._http = http
        self._random = random.Random(number)
        self._paths = [upload_path(number, i) for i in range(EACH)]

    async def work(self, until: float) -> None:
        """Search and change the index until a time."""
        while time.monotonic() < until:
            [task] = self._random.choices(list(MIX), list(MIX.values()))
            try:
                await getattr(self, f"_{task}")()
            except (httpx.HTTPError, ValidationError) as error:
                self._truth.blame(task, repr(error)[:300])
                await asyncio.sleep(0.5)

    async def _words(self) -> None:
        query, k = self._random.choice(self._soak.words), self._random.choice((1, 10, 20, 50))
        started = time.monotonic()
        asked = {"text": query.text, "k": k}
        answer = await self._ask("words", "POST", "/v1/search", json=asked)
        if found := _parsed(answer, SearchResult):
            self._truth.check(found.hits, query, k, started)

    async def _batch(self) -> None:
        queries, k = self._random.sample(self._soak.words, 6), self._random.choice((10, 20))
        started = time.monotonic()
        asked = {"queries": [{"text": query.text} for query in queries], "k": k}
        answer = await self._ask("batch", "POST", "/v1/search/batch", json=asked)
        if found := _parsed(answer, BatchSearchResult):
            for query, result in zip(queries, found.results, strict=True):
                self._truth.check(result.hits, query, k, started)

    async def _photo(self) -> None:
        query, k = self._random.choice(self._soak.photos), self._random.choice((10, 20))
        started = time.monotonic()
        asked: dict[str, Any] = {"files": {"photo": query.photo}, "data": {"k": str(k)}}
        answer = await self._ask("photo", "POST", "/v1/search/photo", **asked)
        if found := _parsed(answer, SearchResult):
            self._truth.check(found.hits, query, k, started)

    async def _upload(self) -> None:
        path = self._random.choice(self._paths)
        name = self._random.choice(sorted(self._truth.contents[path]))
        data = (self._soak.folder / name).read_bytes()
        was_gone = self._truth.gone.pop(path, None) is not None
        asked: dict[str, Any] = {
            "files": {"photo": data},
            "data": {"path": path, "replace": "true", "tags": "soak"},
        }
        answer = await self._ask("upload", "POST", "/v1/items", **asked)
        if stored := _parsed(answer, Item):
            if (stored.path, stored.bytes) != (path, len(data)):
                self._truth.blame("upload", stored)
            self._truth.ids[path] = stored.id
        elif was_gone:  # it was answered with an error, and so nothing was stored
            self._truth.gone[path] = time.monotonic()

    async def _delete(self) -> None:
        known = (path for path in self._paths if path in self._truth.ids)
        present = [path for path in known if path not in self._truth.gone]
        if not present:
            return
        path = self._random.choice(present)
        item = f"/v1/items/{self._truth.ids[path]}"
        answer = await self._ask("delete", "DELETE", item)
        if answer is not None:
            self._truth.gone[path] = time.monotonic()
            await self._ask("deleted", "GET", item)

    async def _ask(self, task: str, method: str, url: str, **body: Any) -> httpx.Response | None:
        """Send a request; returns the response, or None if the service was too busy."""
        started = time.monotonic()
        answer = await self._http.request(method, url, **body)
        self._soak.statuses.setdefault(task, Counter())[answer.status_code] += 1
        success = {"upload": (200, 201), "delete": (204,), "deleted": (404,)}.get(task, (200,))
        if answer.status_code in success:
            taken = time.monotonic() - started
            self._soak.seconds.setdefault(task, []).append(taken)
            return answer
        detail = answer.json().get("detail")
        if detail not in BUSY.get(answer.status_code, ()):
            self._truth.blame("status", f"{task}: {answer.status_code} {detail} {answer.headers}")
        await asyncio.sleep(float(answer.headers.get("Retry-After", 0)))
        return None


def upload_path(client: int, number: int) -> str:
    """The path of a photo that a client uploads."""
    return f"uploads/{client:02}/{number}.jpg"


def _parsed(answer: httpx.Response | None, kind: type[Answer]) -> Answer | None:
    return None if answer is None else kind.model_validate_json(answer.content)
