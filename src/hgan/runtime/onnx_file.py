"""Find external data of an ONNX file: tensors whose numbers are in another file.

The checksum of an ONNX file does not include that other file, and its path is not limited to the
bundle. ONNX Runtime loads it without a question, so a bundle must name it, with a checksum of its
own.

The file is read without the `onnx` package, which searching does not need: an ONNX file is a
protobuf message, and only the messages that can contain a tensor are read. Source of the field
numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3
"""

import mmap
from collections.abc import Iterator
from pathlib import Path

_INSIDE = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""Fields of each message that contain other messages, by number."""
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
"""Fields of a tensor."""
_KEY, _VALUE = 1, 2
"""Fields of an entry of external data."""

Span = tuple[int, int]
"""Start and end of a message in the file."""


def external_files(path: Path) -> set[str]:
    """The files that tensors of an ONNX file have their numbers in, as they are named there; an
    empty name for a tensor that names none.

    Raises:
        ValueError: the file is not a protobuf message.
        OSError: it cannot be read.
    """
    found: set[str] = set()
    with path.open("rb") as file:
        if not file.seek(0, 2):
            raise ValueError("the file is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            todo = [("model", (0, len(content)))]
            while todo:
                kind, span = todo.pop()
                external, names = False, set[str]()
                for number, value in _fields(content, span):
                    if kind == "tensor" and number == _EXTERNAL_DATA:
                        external, names = True, names | _location(content, value)
                    if kind == "tensor" and number == _DATA_LOCATION and value != 0:
                        external = True
                    if number in _INSIDE[kind]:
                        todo.append((_INSIDE[kind][number], _message(kind, number, value)))
                if external:
                    found |= names or {""}
    return found


def _location(content: mmap.mmap, value: int | Span) -> set[str]:
    """The file that an entry of `external_data` names; none if it is about something else."""
    entry = list(_fields(content, _message("tensor", _EXTERNAL_DATA, value)))
    spans = {number: span for number, span in entry if not isinstance(span, int)}
    if len(spans) != len(entry) or set(spans) != {_KEY, _VALUE}:
        raise ValueError("an entry of external data is not a key with a value")
    key, name = (content[slice(*spans[number])] for number in (_KEY, _VALUE))
    return {name.decode("utf-8", "replace")} if key == b"location" else set()


def _message(kind: str, number: int, value: int | Span) -> Span:
    if isinstance(value, int):
        raise ValueError(f"field {number} of a {kind} is not a message")
    return value


def _fields(content: mmap.mmap, span: Span) -> Iterator[tuple[int, int | Span]]:
    """Number and value of each field of a message: an integer, or a span for longer values."""
    position, end = span
    while position < end:
        tag, position = _varint(content, position, end)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, position = _varint(content, position, end)
            yield number, value
            continue
        if wire == 2:
            length, position = _varint(content, position, end)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"unknown wire type {wire}")
        if position + length > end:
            raise ValueError("a field ends after its message")
        yield number, (position, position + length)
        position += length


def _varint(content: mmap.mmap, position: int, end: int) -> tuple[int, int]:
    """An integer of 7 bits per byte, and the position after it."""
    value = shift = 0
    while position < end and shift < 70:
        byte = content[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position
    raise ValueError("a number has no end")
