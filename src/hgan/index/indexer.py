"""Index a folder of photos: encode new and changed photos, and remove missing ones.

Photos are stored as they are encoded, so the next run continues an interrupted one.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hgan.index.folders import Folders, completed, open_photos
from hgan.index.open import open_to_write
from hgan.index.report import IndexReport as IndexReport
from hgan.index.shard import WHOLE, Shard
from hgan.index.store.manifest import Quantize
from hgan.index.writer import IndexWriter
from hgan.runtime.bundle import Bundle
from hgan.sources.rules import Rules
from hgan.sources.types import Source


def index_folder(
    folder: Folders,
    to: Path | str,
    bundle: Bundle | Path | None = None,
    quantize: Quantize | None = None,
    shard: Shard = WHOLE,
    regions: int | None = None,
    exclude: Sequence[str] | None = None,
) -> IndexReport:
    """Bring an index up to date with a folder of photos, or several, including their subfolders.

    Files that the rules of `hgan.sources.rules` ignore are left out, among them hidden ones, and
    so are photos with a side below 64 pixels; they are counted in the report. A photo that cannot
    be read is skipped and listed in the report. User tags are kept.

    Of several folders, photos of the first one have paths relative to it in the index; those of
    others are below the name of their folder, as in `Photos/2023/beach.jpg`. If only some folders
    of an index are given, the others are not looked at; if all are given, more can be added. One
    that cannot be read now is listed in the report, and its photos stay in the index.

    Args:
        folder: the photos, or an address of photos such as `s3://bucket/2023`; or several folders.
        to: the index, a folder or the address of a collection on a server; it is created if it does
            not exist.
        bundle: the model, or its folder; by default that of the index if it exists, or else the
            bundle that ships with hgan.
        quantize: `int8` for smaller vectors in a new index, see `IndexManifest`.
        shard: the part of the photos that this run indexes.
        regions: number of local vectors per photo in a new index, see
            `hgan.runtime.region_grid`; by default all regions of the model.
        exclude: rules of gitignore, such as `*.png`, for files to leave out. The index keeps them
            for later runs; by default, those that it has kept are used.

    Raises:
        ConfigError: a rule is not valid, or folders overlap.
        HganError: the folder, or a new one of several, does not exist or contains no photos.
        SourceError: the photos cannot be reached.
        IndexingError: the index contains other photos, was made with another bundle, is open in
            another process, or cannot be written.
    """
    source = open_photos(folder, to, exclude)
    return index_source(source, to, bundle, quantize, shard, regions, exclude)


def index_source(
    source: Source,
    to: Path | str,
    bundle: Bundle | Path | None = None,
    quantize: Quantize | None = None,
    shard: Shard = WHOLE,
    regions: int | None = None,
    exclude: Sequence[str] | None = None,
) -> IndexReport:
    """Bring an index up to date with a source of photos; see `index_folder`."""
    (source if exclude is None else source.excluding(exclude)).check()  # before it is created
    with open_writer(source, to, bundle, quantize, shard, regions, exclude) as writer:
        changes = writer.compare()
        report = writer.update(changes)
        writer.count_ignored(changes, report)
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
    exclude: Sequence[str] | None = None,
) -> Iterator[IndexWriter]:
    """Open or create an index of photos for writing; see `index_folder`."""
    rules = None if exclude is None else Rules.of(exclude).exclude
    opening = open_to_write(
        source.root,
        to,
        bundle,
        quantize,
        regions=regions,
        exclude=rules,
        folders=source.folders,
    )
    with opening as (store, used, manifest):
        whole = completed(source, manifest).excluding(manifest.exclude or ())
        yield IndexWriter(whole, store, used, shard)
