"""Open an ONNX file with ONNX Runtime, on a device if there is one whose results are right."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hgan.errors import BundleError, ConfigError
from hgan.runtime.device import CPU, VARIABLE, candidates, provider_of
from hgan.runtime.memory import return_memory

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

LEAST_COSINE = 0.999
"""Smallest cosine of the vectors of a photo by a device and by the processor: devices may compute
in float16, which changes cosines by up to 0.0005, and a wrong kernel by far more."""
THREADS = "HGAN_THREADS"
"""Environment variable with the number of threads of a network; by default one per core. A process
that shares a machine with others of its kind needs fewer."""
MAX_THREADS = 1024
LOG = logging.getLogger(__name__)


def open_session(path: Path, spin: bool, device: str = CPU) -> "InferenceSession":
    """Open an ONNX file.

    Args:
        path: the file.
        spin: whether the threads of a run wait for each other by spinning.
        device: a device, see `hgan.runtime.device`.

    Raises:
        BundleError: the file is not a model, or the device cannot be used.
        ConfigError: $HGAN_THREADS is not a number of threads.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only, and those are raised
    options.intra_op_num_threads = _threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
    # Without a run in progress, no thread spins: a service has other work.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    wanted = provider_of(device)
    providers = [wanted] if device == CPU else [wanted, provider_of(CPU)]
    try:
        session = onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:  # ONNX Runtime's errors have no common base class
        raise BundleError(f"{path}: not a model that ONNX Runtime can run ({error})") from error
    return_memory()  # loading a model frees tens of megabytes
    # Where a driver is missing, ONNX Runtime goes on with the processor.
    if session.get_providers()[0] != wanted[0]:
        raise BundleError(f"{path}: ONNX Runtime cannot use {wanted[0]} here")
    return session


def _threads() -> int:
    """The number that $HGAN_THREADS sets; 0 for the default."""
    text = os.environ.get(THREADS, "").strip()
    if text and not (text.isdecimal() and 1 <= int(text) <= MAX_THREADS):
        raise ConfigError(f"{THREADS}: {text}, but it must be a number from 1 to {MAX_THREADS}")
    return int(text or 0)


def open_on_device(
    path: Path, name: str, pixels: np.ndarray, outputs: Sequence[str]
) -> tuple["InferenceSession", str]:
    """Open an image tower on a device, and compare its vectors of one photo with the processor's.

    Args:
        path: the file.
        name: a device, or `auto` for the first one that can be used; the last is the processor.
        pixels: (1, size, size, 3) uint8, a photo.
        outputs: the outputs that are vectors.

    Returns:
        The session, and its device.

    Raises:
        BundleError: the file is not a model.
        ConfigError: the named device cannot be used, or its vectors differ from the processor's.
    """
    processor = open_session(path, spin=False)
    for device in candidates(name):
        if device == CPU:
            break
        try:
            session = open_session(path, spin=False, device=device)
            _compare(session, processor, pixels, outputs)
        except Exception as error:  # from loading or from the first run
            problem = f"{VARIABLE}: {device} cannot be used ({error}); set it to auto or cpu"
            if name != "auto":
                raise ConfigError(problem) from error
            LOG.warning(problem)
            continue
        return session, device
    return processor, CPU


def _compare(
    session: "InferenceSession",
    processor: "InferenceSession",
    pixels: np.ndarray,
    outputs: Sequence[str],
) -> None:
    """Raise `BundleError` if the vectors of a photo differ."""
    found, expected = (one.run(list(outputs), {"pixels": pixels}) for one in (session, processor))
    for name, ours, theirs in zip(outputs, found, expected, strict=True):
        lowest = lowest_cosine(ours, theirs)
        if not lowest >= LEAST_COSINE:
            raise BundleError(
                f"its vectors are not those of the processor: {name} has a cosine of {lowest:.4f}"
            )


def lowest_cosine(one: np.ndarray, other: np.ndarray) -> float:
    """The lowest cosine of vectors (..., D) and others of the same shape: NaN if a number is not
    finite, and 1 without vectors; two vectors of zeros are equal."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    if not one.size:
        return 1.0
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    both_zero = ~one.any(-1) & ~other.any(-1)
    products = np.where(both_zero, 1.0, (one * other).sum(-1))
    return float((products / np.where(both_zero, 1.0, np.maximum(lengths, 1e-300))).min())
