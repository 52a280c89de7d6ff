"""Check whether a data set can be used for training, and list all problems."""

from pathlib import Path

from hgan.data.captions.precomp import splits
from hgan.data.captions.read import find_captions, find_photos
from hgan.data.checks.captions import check_captions
from hgan.data.checks.photos import check_photos
from hgan.data.checks.precomp import check_precomp, is_precomp
from hgan.data.checks.report import Report
from hgan.data.checks.store import check_store


def check(path: Path, photos: Path | None = None) -> Report:
    """Check a caption file and all its photos, a feature store, or a folder in SCAN's format.

    Args:
        path: a caption file, its folder, a folder in SCAN's format, or a feature store.
        photos: the folder of the photos. By default, it is `images` next to the caption file if
            this exists, otherwise the folder of the caption file. For a folder in SCAN's format,
            photos are only checked if this is given.

    Raises:
        DataError: there is nothing to check at that path.
    """
    report = Report(str(path))
    if (path / "manifest.json").is_file():
        check_store(report, path)
        return report
    if is_precomp(path):
        records = check_captions(report, path) if splits(path, "caps.txt") else []
        check_precomp(report, path, records)
    else:
        file = find_captions(path)
        if photos is None:
            photos = find_photos(file)
        records = check_captions(report, file)
    if photos is not None:
        check_photos(report, records, photos)
    return report
