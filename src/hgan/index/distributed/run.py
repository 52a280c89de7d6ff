"""Index photos on a Ray cluster: this process lists them and counts, the workers do the rest."""

import logging
import os
import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hgan.chunks import chunks
from hgan.errors import ConfigError, HganError, IndexingError
from hgan.index.changes import Changes
from hgan.index.distributed.attempts import shared_attempts
from hgan.index.distributed.cluster import cause, check_machines, connected, workers
from hgan.index.distributed.job import Job
from hgan.index.distributed.worker import Worker
from hgan.index.folders import Folders, completed, open_photos
from hgan.index.open import open_to_write
from hgan.index.report import IndexReport
from hgan.index.shard import WHOLE, Shard
from hgan.index.store.manifest import Quantize
from hgan.index.store.open import is_address
from hgan.index.writer import IndexWriter
from hgan.progress import progress
from hgan.runtime.bundle import Bundle, default_bundle
from hgan.runtime.device import VARIABLE, named_device
from hgan.sources.rules import Rules

BATCH = 256
"""Maximum number of photos of a batch: what is read again after the loss of a worker."""
ROUNDS = 8
"""A worker gets at least this many batches, so that all of them end at nearly the same time."""
LEAST = 8
"""Minimum number of photos of a batch, that of a run of the network."""


def index_on_ray(
    folder: Folders,
    to: Path | str,
    bundle: Bundle | Path | None = None,
    quantize: Quantize | None = None,
    shard: Shard = WHOLE,
    regions: int | None = None,
    exclude: Sequence[str] | None = None,
    address: str | None = None,
) -> IndexReport:
    """Bring an index on a server up to date with the machines of a Ray cluster.

    The result is that of `hgan.index.indexer.index_folder`, whose arguments these are. If a machine
    is lost, its batches are given to others.

    Args:
        folder: the photos; every machine must find them at the same place.
        to: the address of a collection on a server, which every machine can reach.
        bundle: the model, or its folder, which must be at the same place on every machine.
        quantize: see `index_folder`.
        shard: see `index_folder`.
        regions: see `index_folder`.
        exclude: see `index_folder`.
        address: `HOST:PORT` of the head of the cluster; see `connected`.

    Raises:
        ConfigError: the index is in a folder, Ray is not installed, the cluster does not answer, or
            a machine has no bundle or photos.
        HganError: as `index_folder`.
    """
    if not is_address(to):
        raise ConfigError(
            f"{to}: an index in a folder can be written by one process only, so a cluster cannot "
            "share the work; omit --engine ray, or index into a server: --to "
            "http://qdrant:6333/photos"
        )
    source = open_photos(folder, to, exclude)
    (source if exclude is None else source.excluding(exclude)).check()
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
    with connected(address), opening as (store, used, manifest):
        place = None if used.folder.resolve() == default_bundle().resolve() else used.folder
        device = named_device() if VARIABLE in os.environ else None
        job = Job(str(to), manifest, place and place.resolve(), device, {})
        number = workers(_on_gpu(job))
        check_machines(job)
        whole = completed(source, manifest).excluding(manifest.exclude or ())
        writer = IndexWriter(whole, store, used, shard)
        changes = writer.compare()
        report = changes.report()
        _encode(replace(job, moved=writer.moved_tags(changes)), changes, number, report)
        writer.count_stored(changes, report)
        writer.remove_missing(changes, (), report)
        writer.note_metadata(changes, report)
        writer.count_ignored(changes, report)
        writer.optimize()
    return report


def _encode(job: Job, changes: Changes, number: int, report: IndexReport) -> None:
    """Let workers index the changed photos.

    Args:
        job: what the workers need to know.
        changes: the photos.
        number: the number of workers.
        report: photos that cannot be read are added to it.

    Raises:
        HganError: a worker cannot go on.
    """
    todo = list(changes.changed.values())
    if not todo:
        return
    import ray.data

    rows = [
        {"photos": pickle.dumps(batch)} for batch in chunks(todo, batch_size(len(todo), number))
    ]
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # this process shows one
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)  # says that it is off
    gpu = _on_gpu(job)
    # One block for each batch, since a block is what Ray gives to a worker.
    done = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        Worker,
        fn_constructor_args=(job, shared_attempts()),
        compute=ray.data.ActorPoolStrategy(size=min(number, len(rows))),
        num_cpus=0 if gpu else job.cores,
        num_gpus=1 if gpu else 0,
    )
    with progress("index", total=len(todo), unit="photos") as bar:
        try:
            for row in done.iter_rows():
                part: IndexReport = pickle.loads(row["report"])
                report.skipped.update(part.skipped)
                report.left_out.small |= part.left_out.small
                bar.advance(row["done"])
        except Exception as error:  # Ray has no common base class for these
            found = cause(error)
            if isinstance(found, HganError):
                raise found from None
            raise IndexingError(
                f"{job.to}: the Ray cluster has failed ({error}); what was stored is kept, index "
                "again to continue"
            ) from error


def batch_size(photos: int, number: int) -> int:
    """The number of photos of a batch for this number of workers."""
    return min(BATCH, max(LEAST, -(-photos // (ROUNDS * number))))


def _on_gpu(job: Job) -> bool:
    """Whether a worker needs a GPU of its own; Ray hides them from others."""
    return (job.device or "").startswith(("cuda", "tensorrt"))
