"""Metadata in XMP, in a photo or in a sidecar beside it.

Lightroom, digiKam, darktable and others write their stars, keywords, people and positions there. It
is RDF in XML: a value is an attribute or an element of a description, and a list is an element of
its own. XML can be malicious, so declarations of types and entities are refused, and so is what is
larger or nested deeper than any program writes.
"""

import codecs
from collections.abc import Iterator
from itertools import chain
from typing import Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from hgan.errors import DataError
from hgan.runtime.metadata.gps import position_of, xmp_degrees
from hgan.runtime.metadata.rating import percent_stars, stars
from hgan.runtime.metadata.text import LONGEST, clean_tags, first_time, line
from hgan.runtime.metadata.types import Metadata

LARGEST_XMP = 8 * 2**20
"""Maximum size of XMP in bytes; darktable's history of a photo takes at most a megabyte."""
DEEPEST = 64
"""Maximum depth of elements inside each other; programs write about ten."""
MOST_ELEMENTS = 100_000

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_XMP = "{http://ns.adobe.com/xap/1.0/}"
_EXIF = "{http://ns.adobe.com/exif/1.0/}"
_TIFF = "{http://ns.adobe.com/tiff/1.0/}"
_PHOTOSHOP = "{http://ns.adobe.com/photoshop/1.0/}"
_LIGHTROOM = "{http://ns.adobe.com/lightroom/1.0/}"
_DIGIKAM = "{http://www.digikam.org/ns/1.0/}"
_MICROSOFT = "{http://ns.microsoft.com/photo/1.0/}"
_MP = "{http://ns.microsoft.com/photo/1.2/}"
_MP_REGION = "{http://ns.microsoft.com/photo/1.2/t/Region#}"
_MWG = "{http://www.metadataworkinggroup.com/schemas/regions/}"
_IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"

_UTF16 = codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE
_TIMES = _EXIF + "DateTimeOriginal", _PHOTOSHOP + "DateCreated", _XMP + "CreateDate"
_HIERARCHIES = ((_LIGHTROOM + "hierarchicalSubject", "|"), (_DIGIKAM + "TagsList", "/"))
"""Lists of keywords with those above them, such as `places|portugal|lisbon`."""


def from_xmp(data: bytes) -> Metadata:
    """The metadata in XMP.

    Raises:
        DataError: it is not XML, or too large; the message does not name the file.
    """
    found = _Properties(_parsed(data))
    rating = stars(found.text(_XMP + "Rating"))
    if rating is None:
        rating = percent_stars(found.text(_MICROSOFT + "Rating"))
    return Metadata(
        taken=first_time(map(found.text, _TIMES)),
        camera=line(found.text(_TIFF + "Model"))[:LONGEST],
        tags=clean_tags(_keywords(found)),
        people=clean_tags(_people(found)),
        rating=rating,
        position=position_of(
            xmp_degrees(found.text(_EXIF + "GPSLatitude"), "NS"),
            xmp_degrees(found.text(_EXIF + "GPSLongitude"), "EW"),
        ),
    )


class _Properties:
    """The properties of all descriptions in a document."""

    def __init__(self, root: Element) -> None:
        self._attributes: dict[str, str] = {}
        self._elements: dict[str, Element] = {}
        for graph in root.iter(_RDF + "RDF"):
            for about in graph.findall(_RDF + "Description"):
                for name, value in about.items():
                    self._attributes.setdefault(name, value)
                for element in about:
                    self._elements.setdefault(element.tag, element)

    def text(self, name: str) -> str:
        """A property with one value; empty if there is none."""
        element = self._elements.get(name)
        return self._attributes.get(name, "") if element is None else _value(element)

    def items(self, name: str) -> list[Element]:
        """The items of a list in a property, or in the lists that are nested in it."""
        element = self._elements.get(name)
        return [] if element is None else list(element.iter(_RDF + "li"))


def _keywords(found: _Properties) -> Iterator[str]:
    for item in found.items(_DC + "subject"):
        yield line(_value(item))
    for name, separator in _HIERARCHIES:
        for item in found.items(name):
            yield from line(_value(item)).split(separator)


def _people(found: _Properties) -> Iterator[str]:
    for item in found.items(_MWG + "Regions"):
        if _field(item, _MWG + "Type").strip().lower() == "face":
            yield line(_field(item, _MWG + "Name"))
    for item in found.items(_MP + "RegionInfo"):
        yield line(_field(item, _MP_REGION + "PersonDisplayName"))
    for item in found.items(_IPTC + "PersonInImage"):
        yield line(_value(item))


def _field(item: Element, name: str) -> str:
    """A field of a structure: an attribute or element of it, or of the description in it."""
    for place in chain([item], item.findall(_RDF + "Description")):
        if name in place.keys():  # noqa: SIM118 - an element has no `in` for attributes
            return place.get(name, "")
        element = place.find(name)
        if element is not None:
            return _value(element)
    return ""


def _value(element: Element) -> str:
    """The text of an element, or of the first item of the list in it."""
    if element.text and element.text.strip():
        return element.text
    item = next(element.iter(_RDF + "li"), None)
    return "" if item is None else item.text or ""


def _parsed(data: bytes) -> Element:
    if len(data) > LARGEST_XMP:
        raise DataError(f"larger than the limit of {LARGEST_XMP // 2**20} MB")
    parser = DefusedXMLParser(target=_Limited(), forbid_dtd=True)
    try:
        parser.feed(data if data.startswith(_UTF16) else data.strip(b"\0 \t\r\n"))
        root = parser.close()
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        # LookupError: an unknown encoding
        raise DataError(f"not XMP that can be read ({line(str(error))[:200]})") from error
    if not isinstance(root, Element):
        raise DataError("not XMP that can be read (it is empty)")
    return root


class _Limited(TreeBuilder):
    """Builds a document, unless it is nested too deep or has too many elements."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = self._count = 0

    def start(self, tag: str, attrs: Any, /) -> Element:
        self._depth += 1
        self._count += 1
        if self._depth > DEEPEST or self._count > MOST_ELEMENTS:
            raise ValueError(f"more than {DEEPEST} levels, or {MOST_ELEMENTS:,} elements")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        self._depth -= 1
        return super().end(tag)
