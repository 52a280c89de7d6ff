"""The files that belong to a photo, and are moved with it: its XMP sidecars, the RAW file that it
stands for, and the clip of a Live Photo.

These are the files that `hgan.sources.walk` leaves out or reads because of the photo. Without it,
the RAW file or the clip would be indexed in its place.
"""

from pathlib import Path

from hgan.errors import DataError
from hgan.runtime.formats import HEIC, RAW, is_video, kind_of
from hgan.runtime.live_photo import is_clip
from hgan.runtime.photo_file import open_file
from hgan.sources.sidecars import SUFFIX, is_sidecar_name
from hgan.sources.types import is_photo_name

JPEG = (".jpg", ".jpeg")


def belongings(photo: Path) -> list[Path]:
    """The files in the folder of a photo that belong to it, in the order of their names.

    If another photo has the same name with another suffix, they may belong to that one, too: then
    there is only the sidecar of the whole name.

    Raises:
        DataError: the folder cannot be read.
    """
    try:
        names = sorted(photo.parent.iterdir())
    except OSError as error:
        raise DataError(f"{photo.parent}: cannot be read ({error.strerror})") from error
    alike = [path for path in names if path != photo and _stem(path) == _stem(photo)]
    raw = [path for path in alike if kind_of(path.name) is RAW]
    shared = any(is_photo_name(path.name) and path not in raw for path in alike)
    if shared or kind_of(photo.name) is RAW:
        raw = []
    clips = [path for path in alike if not shared and _is_clip_of(photo, path)]
    owners = {photo.name.lower(), *(path.name.lower() for path in [*raw, *clips])}
    sidecars = [
        path
        for path in names
        if is_sidecar_name(path.name)
        and (
            path.name.lower().removesuffix(SUFFIX) in owners
            or (not shared and _stem(path) == _stem(photo))
        )
    ]
    return sorted([*raw, *clips, *sidecars])


def is_of_phones(name: str) -> bool:
    """Whether a photo has a format in which phones save Live Photos."""
    return kind_of(name) is HEIC or Path(name).suffix.lower() in JPEG


def _is_clip_of(photo: Path, path: Path) -> bool:
    if not (is_of_phones(photo.name) and is_video(path.name)):
        return False
    try:
        with open_file(path, most=None)[0] as file:
            return is_clip(file)
    except (DataError, OSError):
        return False


def _stem(path: Path) -> str:
    """The name without its suffix, as cameras give it to all files of a photo."""
    return path.stem.lower()
