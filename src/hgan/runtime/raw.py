"""RAW photos: the preview that the camera has put into the file is what is indexed and shown."""

import io
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from hgan.errors import DataError
from hgan.runtime.formats import RAW
from hgan.runtime.memory import DECODING

_COPIES = 4
"""The file, and three copies of its preview, which is smaller, in LibRaw and on the way here."""
_ORIENTATIONS = {3: 3, 5: 8, 6: 6}
"""Orientation in EXIF by that in LibRaw."""


def preview_of(source: Path | bytes, name: str) -> bytes:
    """The largest preview in a RAW photo, as the bytes of a JPEG, or of a PNG if it is stored as
    plain pixels.

    Its EXIF has the orientation, the camera and the time; if the camera wrote none into the
    preview, LibRaw adds it.

    Args:
        source: the file, of which only a part is read; or its bytes.
        name: name in error messages.

    Raises:
        DataError: it is not a RAW photo, it has no preview that can be read, or rawpy is not
            installed.
    """
    if not RAW.readable:
        raise DataError(f"{name}: a RAW photo, which needs rawpy; {RAW.advice}")
    import rawpy

    size = source.stat().st_size if isinstance(source, Path) else len(source)
    with DECODING.reserve(_COPIES * size):
        try:
            file = str(source) if isinstance(source, Path) else io.BytesIO(source)
            with rawpy.imread(file) as photo:
                preview = photo.extract_thumb().data
                if isinstance(preview, bytes):
                    return preview
                if preview.nbytes > size:  # not from the file; LibRaw has not filled it
                    raise DataError(f"{name}: damaged, its preview is larger than the file")
                return _png(preview, _ORIENTATIONS.get(photo.sizes.flip, 1))
        except DataError:
            raise
        except (rawpy.LibRawNoThumbnailError, rawpy.LibRawUnsupportedThumbnailError) as error:
            raise DataError(
                f"{name}: has no preview that can be read; save it as a JPEG beside it"
            ) from error
        except Exception as error:  # malicious bytes make decoders raise any exception
            raise DataError(f"{name}: not a RAW photo that can be read ({_line(error)})") from error


def _png(pixels: np.ndarray, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", exif=exif, compress_level=1)
    return file.getvalue()


def _line(error: Exception) -> str:
    """The message of LibRaw, which is bytes."""
    reason = error.args[-1] if error.args else type(error).__name__
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
