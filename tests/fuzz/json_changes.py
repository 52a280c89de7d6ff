"""Change JSON inside its structure: changes of single bytes seldom leave a document that parses."""

import json
import random
from collections.abc import Iterator
from typing import Any

_ODD: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**63, 2**64, 10**400, 0.5, -0.5, 1e308,
    float("nan"), float("inf"), "", " ", "a", "\0", "\n", "\ud800", "\u202e", "../a", "/", "s3://a",
    "1", "dev", "a" * 600, [], {}, [[]], [None], {"": None}, [0.0] * 4,
]  # fmt: skip
"""Values that readers may not expect."""


def changed(data: bytes, seed: int) -> bytes | None:
    """A document with up to three values changed, removed or repeated; None if it is not JSON."""
    chance = random.Random(seed)
    try:
        document = json.loads(data)
        for _ in range(chance.randint(1, 3)):
            document = _changed(document, chance)
        return json.dumps(document).encode()
    except (ValueError, RecursionError):
        return None


def _changed(document: Any, chance: random.Random) -> Any:
    places = list(_places(document))
    if not places or chance.random() < 0.02:
        return chance.choice(_ODD)
    holder, key = chance.choice(places)
    match chance.randrange(5):
        case 0:
            del holder[key]
        case 1:
            other, place = chance.choice(places)
            holder[key] = json.loads(json.dumps(other[place]))  # a copy: it may contain the holder
        case 2 if isinstance(holder, list):
            holder.insert(key, holder[key])
        case 2:
            holder[chance.choice(["", "a", *holder])] = holder.pop(key)
        case _:
            holder[key] = chance.choice(_ODD)
    return document


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """All values inside a document, each as what holds it and its key or position there."""
    inside: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inside = list(value.items())
    elif isinstance(value, list):
        inside = list(enumerate(value))
    for key, one in inside:
        yield value, key
        yield from _places(one)
