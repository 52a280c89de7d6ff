"""A folder of photos to an index: new and changed photos are encoded, missing ones are removed.

Photos are stored as they are encoded, so that a run that is interrupted is continued by the next.
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
    """Bring an index up to date with a folder of photos and all folders below it.

    Hidden folders, and links to folders, are not entered. A photo that cannot be read is skipped
    and listed. Tags that users gave to photos are kept.

    Args:
        folder: the photos, or an address of photos such as `s3://bucket/2023`.
        to: the index, a folder or the address of a collection on a server; it is created if it does
            not exist.
        bundle: the model, or its folder; by default the one that ships with the program.
        quantize: `int8` for smaller vectors in a new index, see `IndexManifest`.
        shard: the share of the photos that this run indexes.
        regions: the number of local vectors of a photo in a new index, see
            `hgan.runtime.region_grid`; by default as many as the model makes.

    Raises:
        HganError: there is no such folder, or no photo in it.
        SourceError: the photos cannot be reached.
        IndexingError: the index is of other photos or another bundle, is open elsewhere, or cannot
            be written.
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
    """Open or create an index of photos to write to it; see `index_folder`."""
    with open_to_write(source.root, to, bundle, quantize, regions=regions) as (store, used):
        yield IndexWriter(source, store, used, shard)
