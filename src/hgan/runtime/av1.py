"""How large the AV1 images of an AVIF photo are, before they are decoded.

An AVIF file says twice how large it is: in its container, which Pillow shows, and in the header of
the AV1 data. The decoder allocates memory by the latter, and compares them only afterwards, so that
a small file could need a gigabyte. Here the headers are read: ISO/IEC 14496-12 for the boxes, the
AV1 specification, section 5.5, for the sequence header.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

_SEQUENCE_HEADER = 1
"""Type of the unit of AV1 that contains the size."""
_MOST = 10_000
"""Maximum number of boxes in a box, of images, and of units of an image; photos have some hundred
at most."""
_EMPTY = memoryview(b"")


class Av1Size(NamedTuple):
    """The largest AV1 image of a file."""

    pixels: int
    profile: int
    """0 for 4:2:0 and grey, 1 for 4:4:4, 2 for the rest."""
    deep: bool
    """Whether a sample may have more than 8 bits."""

    @property
    def bytes(self) -> int:
        """The bytes of the decoded image, without transparency."""
        samples = 3 * self.pixels if self.profile else self.pixels + self.pixels // 2
        return samples * (2 if self.deep else 1)


def largest_av1(data: bytes) -> Av1Size:
    """The size of the image in an AVIF file that needs the most memory.

    Raises:
        ValueError: the file has no still AV1 image whose size can be found.
    """
    try:
        sizes = [size for item in _items(memoryview(data)) if (size := _sequence(item))]
    except (struct.error, IndexError) as error:
        raise ValueError(f"the boxes of the file are damaged ({error})") from error
    if not sizes:
        raise ValueError("the file has no still AV1 image")
    return max(sizes, key=lambda size: size.bytes)


def _boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Type and content of each box."""
    place = 0
    for _ in range(_MOST):
        if place + 8 > len(data):
            return
        size, kind = struct.unpack_from(">I4s", data, place)
        start = place + 8
        if size == 1:
            size, start = struct.unpack_from(">Q", data, start)[0], start + 8
        end = place + size if size else len(data)
        if end < start:
            raise ValueError("a box has a negative size")
        yield kind, data[start:end]
        place = end
    raise ValueError("the file has too many boxes")


def _items(data: memoryview) -> Iterator[bytes]:
    """The data of each AV1 item: images, tiles of images, and channels of transparency."""
    left = 2 * len(data)  # items of photos do not overlap; those of others could take forever
    for kind, content in _boxes(data):
        if kind != b"meta":
            continue
        inner = dict(_boxes(content[4:]))
        types = _types(inner.get(b"iinf", _EMPTY))
        for item, parts in _locations(inner.get(b"iloc", _EMPTY)):
            if types.get(item) != b"av01":
                continue
            places = (inner.get(b"idat", _EMPTY) if own else data for own, *_ in parts)
            found = [
                place[start : start + size if size else None]
                for place, (_, start, size) in zip(places, parts, strict=True)
            ]
            left -= sum(map(len, found))
            if left < 0:
                raise ValueError("the images of the file overlap")
            yield b"".join(found)


def _types(iinf: memoryview) -> dict[int, bytes]:
    """The type of each item by its id."""
    found = {}
    for kind, content in _boxes(iinf[8 if bytes(iinf[:1]) != b"\0" else 6 :]):
        if kind == b"infe" and content[0] >= 2:
            form = ">HH4s" if content[0] == 2 else ">IH4s"
            number, _, name = struct.unpack_from(form, content, 4)
            found[number] = name
    return found


def _locations(iloc: memoryview) -> Iterator[tuple[int, list[tuple[bool, int, int]]]]:
    """The id of each item, and its parts: whether it is in `idat`, where it starts, its size."""
    if not iloc:
        return
    version = iloc[0]
    sizes = [iloc[4] >> 4, iloc[4] & 15, iloc[5] >> 4, iloc[5] & 15 if version else 0]
    offset_size, length_size, base_size, index_size = sizes
    read = _Numbers(iloc, 6)
    count = read(4 if version == 2 else 2)
    left = _MOST
    for _ in range(count):
        item = read(4 if version == 2 else 2)
        own = bool(version and read(2) & 15 == 1)
        read(2)
        base = read(base_size)
        parts = []
        extents = read(2)
        left -= 1 + extents
        if left < 0:
            raise ValueError("the file has too many images")
        for _ in range(extents):
            read(index_size)
            start = base + read(offset_size)
            parts.append((own, start, read(length_size)))
        yield item, parts


class _Numbers:
    """Reads big-endian numbers one after the other."""

    def __init__(self, data: memoryview, place: int) -> None:
        self._data, self._place = data, place

    def __call__(self, size: int) -> int:
        """The next number, of this many bytes."""
        end = self._place + size
        if end > len(self._data):
            raise IndexError("a box ends too early")
        number = int.from_bytes(self._data[self._place : end], "big")
        self._place = end
        return number


def _sequence(item: bytes) -> Av1Size | None:
    """The largest size in the sequence headers of an item; None if it has none."""
    found: Av1Size | None = None
    place = 0
    for _ in range(_MOST):
        if place >= len(item):
            return found
        header = item[place]
        place += 2 if header & 4 else 1
        size = len(item) - place
        if header & 2:
            size, place = _leb128(item, place)
        if header >> 3 & 15 == _SEQUENCE_HEADER:
            one = _size(item[place : place + size])
            found = one if found is None or one.bytes > found.bytes else found
        place += size
    raise ValueError("an image has too many units")


def _leb128(data: bytes, place: int) -> tuple[int, int]:
    """A number of variable length, and the place behind it."""
    number = 0
    for count in range(8):
        byte = data[place + count]
        number |= (byte & 127) << 7 * count
        if not byte & 128:
            return number, place + count + 1
    raise ValueError("a number has no end")


def _size(header: bytes) -> Av1Size:
    """The largest size that images after a sequence header can have."""
    bits = _Bits(header)
    profile = bits(3)
    bits(1)
    still = bits(1)  # a reduced header
    if still:
        bits(5)
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits(4) + 1, bits(4) + 1
    width, height = bits(width_bits) + 1, bits(height_bits) + 1
    if not still:  # a frame may have a size of its own, of as many bits
        return Av1Size(1 << width_bits + height_bits, profile, deep=True)
    bits(6)  # tools of the decoder
    return Av1Size(width * height, profile, deep=bool(bits(1)))


def _skip_operating_points(bits: "_Bits") -> None:
    """Skip timing and operating points, which come before the size."""
    delay_bits = 0
    timed = bits(1)
    modelled = 0
    if timed:
        bits(64)
        if bits(1):  # a number in unary and binary
            zeros = 0
            while not bits(1):
                zeros += 1
            bits(zeros)
        modelled = bits(1)
        if modelled:
            delay_bits = bits(5) + 1
            bits(42)
    shown = bits(1)
    for _ in range(bits(5) + 1):
        bits(12)
        if bits(5) > 7:
            bits(1)
        if modelled and bits(1):
            bits(2 * delay_bits + 1)
        if shown and bits(1):
            bits(4)


class _Bits:
    """Reads numbers of a few bits one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def __call__(self, count: int) -> int:
        """The next number, of this many bits."""
        number = 0
        for _ in range(count):
            byte = self._data[self._place >> 3]
            number = number << 1 | byte >> 7 - (self._place & 7) & 1
            self._place += 1
        return number
