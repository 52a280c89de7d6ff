"""Convert captions and features; the conversion depends on the formats of source and target.

| source | target | result |
|---|---|---|
| captions of any format | FILE.jsonl | JSON Lines |
| captions of any format | folder | lists in SCAN's format |
| folder in SCAN's format with features | folder | feature store, float16 |
| feature store, and captions | folder | lists and arrays in SCAN's format, float32 |
| bottom-up attention's TSV, and a list of ids | folder | arrays in SCAN's format, float32 |
| data set of Hugging Face, or WebDataset's shards | folder | photos and `captions.jsonl` |
"""

from pathlib import Path

import numpy as np

from hgan.data.captions.read import read_captions
from hgan.data.captions.types import Captions
from hgan.data.conversion.bottom_up import convert_tsv
from hgan.data.conversion.hub import download_tables, is_on_hub
from hgan.data.conversion.jsonl_writer import write_jsonl
from hgan.data.conversion.precomp_writer import write_precomp
from hgan.data.conversion.samples import write_samples
from hgan.data.conversion.tables import has_tables, read_tables
from hgan.data.conversion.webdataset import has_shards, read_shards
from hgan.data.features.manifest import Manifest
from hgan.data.features.precomp import PrecompFeatures
from hgan.data.features.store import FeatureStore, FeatureWriter
from hgan.data.features.types import PRECOMPUTED, RegionFeatures
from hgan.errors import DataError
from hgan.files import refuse_existing
from hgan.progress import progress

_BATCH = 64
"""Photos that are copied at once."""
_FLUSH_EVERY = 32
"""Batches between two flushes to disk; an interruption loses at most this many."""
_OTHER_FORMS = {".json", ".csv", ".tsv", ".txt", ".token", ".npy"}
_SAME = 1e-4
"""Boxes (in 0..1) count as equal if they differ by less than this."""
_WHOLE = [0.0, 0.0, 1.0, 1.0]


def convert(
    source: Path,
    target: Path,
    captions: Path | None = None,
    ids: Path | None = None,
    column: str | None = None,
    split: str | None = None,
) -> str:
    """Convert captions or features; return a summary. Existing files are not overwritten.

    Args:
        source: a caption file of any format, a folder in SCAN's format, a feature store, a TSV, or
            a data set with photos and captions: Parquet files, a folder of `save_to_disk`, the
            name of a data set on the hub, or WebDataset's shards.
        target: a .jsonl file or a folder.
        captions: captions of the photos in a feature store.
        ids: list of the photos in a TSV to convert, in this order.
        column: column of the captions in a data set, if it has another name than usual.
        split: split of the photos in a data set whose own is not known.

    Raises:
        DataError: the source is missing or malformed, cannot be converted to the format of the
            target, or the target already exists.
    """
    lines = target.suffix == ".jsonl"
    is_store = (source / "manifest.json").is_file()
    is_tsv = ids is not None or source.suffix == ".tsv"
    if captions is not None and not is_store:
        raise DataError(f"--captions is for feature stores, and {source} is not one")
    if target.suffix in _OTHER_FORMS:
        raise DataError(f"{target}: the target must be a .jsonl file or a folder")
    if is_on_hub(source) or has_tables(source) or has_shards(source):
        return _unpack(source, target, column, split)
    if column is not None or split is not None:
        raise DataError(f"--column and --split are for data sets with photos, and {source} is none")
    if lines and (is_store or is_tsv):
        raise DataError(
            f"{source} has features, which JSON Lines cannot store; the target must be a folder"
        )
    if is_tsv:
        if ids is None:
            raise DataError(f"{source}: add the list of photos to convert: --ids test_ids.txt")
        return f"{convert_tsv(source, ids, target):,} rows: {target}"
    if is_store:
        if captions is None:
            raise DataError(f"{source}: add the captions of its photos: --captions FILE")
        found, store = read_captions(captions), FeatureStore(source)
        return _summary(write_precomp(found, target, store), found, target)
    if not lines and any(source.glob("*_ims.npy")):
        return f"{write_store(PrecompFeatures(source), target):,} photos: {target}"
    found = read_captions(source)
    count = write_jsonl(found, target) if lines else write_precomp(found, target)
    return _summary(count, found, target)


def _unpack(source: Path, target: Path, column: str | None, split: str | None) -> str:
    """Write the photos and captions of a data set that has both."""
    if target.suffix == ".jsonl":
        raise DataError(f"{source} has photos too; the target must be a folder")
    refuse_existing([target])  # before anything is downloaded
    if is_on_hub(source):
        source = download_tables(source)
    read = read_shards if has_shards(source) else read_tables
    return write_samples(read(source, column, split), target, source)


def _summary(count: int, captions: Captions, target: Path) -> str:
    rest = len(captions.images) - count
    left_out = f", {rest:,} left out (not in split train, val or test)" if rest else ""
    return f"{count:,} photos{left_out}: {target}"


def write_store(features: PrecompFeatures, target: Path) -> int:
    """Write features as a store, or resume an interrupted conversion; return the number of photos.

    The context of a photo is the mean of its regions. A store has the same boxes for all photos. If
    the boxes are unknown, each box is the whole photo.

    Raises:
        DataError: photos have different boxes, a feature is not finite in float16, or the target
            contains another store or a complete one.
    """
    if not (target / "manifest.json").is_file():
        refuse_existing([target])
    rows = np.array(sorted(features.rows.values()))
    name_of = {row: name for name, row in features.rows.items()}
    first = _read(features, rows[:_BATCH])
    boxes = [_WHOLE] * first.regions.shape[1] if first.boxes is None else first.boxes[0].tolist()
    manifest = Manifest(
        backbone=PRECOMPUTED,
        size=0,  # unknown
        boxes=boxes,
        width=features.width,
        views=1,
        ids=[name_of[row] for row in rows.tolist()],
    )
    _check_boxes(first, manifest, 0)
    with FeatureWriter(target, manifest) as writer:
        if writer.finished:
            raise DataError(f"{target} already exists; remove it, or choose another target")
        with progress("convert", total=len(rows), unit="photos") as bar:
            start = writer.manifest.rows_done
            bar.advance(start)
            for number, begin in enumerate(range(start, len(rows), _BATCH), 1):
                chosen = rows[begin : begin + _BATCH]
                found = _read(features, chosen)
                _check_boxes(found, manifest, begin)
                writer.write(found.regions[:, None], found.context[:, None], {})
                if number % _FLUSH_EVERY == 0:
                    writer.flush()
                bar.advance(len(chosen))
        writer.finish()
    return len(rows)


def _read(features: PrecompFeatures, rows: np.ndarray) -> RegionFeatures:
    return features.read(rows, np.zeros(len(rows), dtype=int))


def _check_boxes(found: RegionFeatures, manifest: Manifest, start: int) -> None:
    """Raise `DataError` if boxes (B, R, 4) differ from those of the manifest (R, 4)."""
    if found.boxes is None:
        return
    other = np.abs(found.boxes - np.asarray(manifest.boxes)).max(axis=(1, 2)) > _SAME
    if other.any():
        raise DataError(
            f"the boxes of {manifest.ids[start + int(other.argmax())]} differ from those of "
            f"{manifest.ids[0]}, but a feature store has the same boxes for all photos; train on "
            "the folder itself (vision.backbone: precomputed), or remove its boxes"
        )
