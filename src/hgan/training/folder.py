"""The folder of a run: its name, its lock, and the errors that stop a run there.

`lock` is held by the process that trains the run, `config.json` contains its settings, `last` the
state to resume from, `best` the best checkpoint, `log.csv` and `curves.png` its history,
`stopped.json` the batch that stopped it, if a loss was not finite, and `trackers.json` the ids of
the run in experiment trackers.
"""

import errno
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from hgan.data.batches.types import Batch
from hgan.data.captions.types import Captions
from hgan.errors import ProcessError, TrainingError
from hgan.files import NO_LOCKS, lock_file, write_json
from hgan.progress import console
from hgan.training.config import Config

STOPPED = "stopped.json"
SHOWN = 3
"""Number of photos and captions in an error message; all are in `stopped.json`."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def run_folder(config: Config) -> Path:
    """The folder of a run's files, `RUN/seedN`."""
    return config.run / f"seed{config.seed}"


@contextmanager
def only_process(folder: Path, create: bool = True) -> Iterator[None]:
    """Hold the lock of a run's folder, so that no other process trains the run.

    Args:
        folder: the folder.
        create: whether the folder is created; if not, one that does not exist is not locked.

    Raises:
        TrainingError: another process trains the run.
    """
    if not create and not folder.exists():
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    try:
        file = lock_file(folder / "lock")
    except BlockingIOError as error:
        raise TrainingError(
            f"{folder}: another process is training this run; wait until it ends or stop it, or "
            "choose another --run or --seed"
        ) from error
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        console.print(
            f"{folder}: its file system has no locks ({error.strerror}), so nothing prevents "
            "another process from training the same run",
            markup=False,
        )
        yield
        return
    with file:
        yield


def not_saved(folder: Path, error: OSError, size: int, epochs: int) -> TrainingError:
    """The error that the files of an epoch cannot be written.

    Args:
        folder: the folder of the run.
        error: what the operating system says.
        size: size of the checkpoints of an epoch in bytes.
        epochs: number of epochs of the complete checkpoint on disk; 0 if there is none.
    """
    fix = "make it writable"
    if error.errno in _NO_ROOM:
        free = shutil.disk_usage(folder).free
        fix = (
            f"the checkpoints of an epoch need about {_megabytes(size)} beside the old ones, and "
            f"{_megabytes(free)} are free; free some space, or move the run to another disk"
        )
    then = f"continue with --resume after epoch {epochs}, which is complete"
    return TrainingError(
        f"{error.filename or folder}: {error.strerror or error}: {fix}; then "
        f"{then if epochs else 'start again'}"
    )


def not_finite(
    folder: Path,
    problem: str,
    where: tuple[int, int],
    batches: Sequence[Batch],
    captions: Captions,
    write: bool = True,
) -> TrainingError:
    """The error that a step is not finite; its photos and captions are written to `stopped.json`.

    Args:
        folder: the folder of the run.
        problem: what is not finite.
        where: epoch and step, counted from 1.
        batches: the batches of the step.
        captions: the captions of the data set.
        write: whether this process writes the file.
    """
    epoch, step = where
    photos = [captions.images[i] for batch in batches for i in batch.photos]
    texts = {
        str(i): [captions.images[captions.image_of[i]], captions.texts[i]]
        for i in sorted(i for batch in batches for i in batch.captions.tolist())
    }
    stopped = {"epoch": epoch, "step": step, "problem": problem, "photos": photos}
    if write:
        with suppress(OSError):  # the error is more important
            write_json(folder / STOPPED, stopped | {"captions": texts})
    return TrainingError(
        f"{folder}: epoch {epoch}, step {step}: {problem}. The batch has the photos "
        f"{_some(photos)} and the captions {_some(list(texts))}, all in {folder / STOPPED}. The "
        f"checkpoints of epoch {epoch - 1} and before are kept, but --resume stops at the same "
        "step: train with a lower optim.learning_rate or optim.clip, or optim.precision no, in "
        "another --run; `hgan data check` finds photos whose features are wrong"
    )


def lost_process(folder: Path, error: ProcessError, epochs: int) -> TrainingError:
    """The error that another process of the run has ended.

    Args:
        folder: the folder of the run.
        error: what was noticed.
        epochs: number of epochs of the complete checkpoint on disk; 0 if there is none.
    """
    then = f"start all processes again with --resume, which continues after epoch {epochs}"
    return TrainingError(
        f"{folder}: {error}; {then if epochs else 'no epoch was finished, so start again'}"
    )


def out_of_memory(images: int) -> TrainingError:
    """The error that the device has too little memory for a batch of this many photos."""
    return TrainingError(
        f"the device has too little memory for a batch of {images} photos; set "
        f"optim.chunk_images to {max(1, images // 4)}, which changes no result; or "
        f"optim.batch_images to {max(2, images // 2)} or optim.captions_per_image to fewer, or "
        "vision.gradient_checkpointing to true if layers of the backbone are trained, and choose "
        "another --run"
    )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
