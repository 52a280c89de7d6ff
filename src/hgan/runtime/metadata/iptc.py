"""Keywords in IPTC, as older photo managers write them."""

from collections.abc import Iterator

from PIL import IptcImagePlugin
from PIL.ImageFile import ImageFile

from hgan.runtime.metadata.text import clean_tags, line
from hgan.runtime.metadata.types import Metadata

_KEYWORDS = (2, 25)


def from_iptc(photo: ImageFile) -> Metadata:
    """The keywords in the IPTC of an opened photo."""
    return Metadata(tags=clean_tags(_keywords(photo)))


def _keywords(photo: ImageFile) -> Iterator[str]:
    """Decode keywords: UTF-8 from current programs, Latin-1 from old ones."""
    found = (IptcImagePlugin.getiptcinfo(photo) or {}).get(_KEYWORDS, [])
    for word in found if isinstance(found, list) else [found]:
        try:
            yield line(word.decode("utf-8"))
        except UnicodeDecodeError:
            yield line(word.decode("latin-1"))
