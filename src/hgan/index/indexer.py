"""Index a folder of photos: encode new and changed photos, and remove missing ones.

Photos are stored as they are encoded, so the next run continues an interrupted one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hgan.index.open import open_to_write
from hgan.index.report import IndexReport as IndexReport
from hgan.index.shard import WHOLE, Shard
from hgan.index.store.manifest import Quantize
from hgan.index.writer import IndexWriter
from hgan.runtime.bundle import Bundle
from hgan.sources.open import open_source
from hgan.sources.types import Source


def index_folder(
    folder: Path | str,
    to: Path | str,
    bundle: Bundle | Path | None = None,
    quantize: Quantize | None = None,
    shard: Shard = WHOLE,
    regions: int | None = None,
) -> IndexReport:
    """Bring an index up to date with a folder of photos, including its subfolders.

    Hidden folders and links to folders are skipped. A photo that cannot be read is skipped and
    listed in the report. User tags are kept.

    Args:
        folder: the photos, or an address of photos such as `s3://bucket/2023`.
        to: the index, a folder or the address of a collection on a server; it is created if it does
            not exist.
        bundle: the model, or its folder; by default that of the index if it exists, or else the
            bundle that ships with hgan.
        quantize: `int8` for smaller vectors in a new index, see `IndexManifest`.
        shard: the part of the photos that this run indexes.
        regions: number of local vectors per photo in a new index, see
            `hgan.runtime.region_grid`; by default all regions of the model.

    Raises:
        HganError: the folder does not exist or contains no photos.
        SourceError: the photos cannot be reached.
        IndexingError: the index contains other photos, was made with another bundle, is open in
            another process, or cannot be written.
    """
    source = open_source(folder)
    source.check()  # before an index is created
    with open_writer(source, to, bundle, quantize, shard, regions) as writer:
        report = writer.update(writer.compare())
        writer.optimize()
    return report


@contextmanager
def open_writer(
    source: Source,
    to: Path | str,
    bundle: Bundle | Path | None = None,
    quantize: Quantize | None = None,
    shard: Shard = WHOLE,
    regions: int | None = None,
) -> Iterator[IndexWriter]:
    """Open or create an index of photos for writing; see `index_folder`."""
    with open_to_write(source.root, to, bundle, quantize, regions=regions) as (store, used):
        yield IndexWriter(source, store, used, shard)
