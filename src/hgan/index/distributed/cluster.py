"""Connect to a Ray cluster, and check that its machines can do the work, before any of it."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hgan.errors import ConfigError, HganError
from hgan.index.distributed.job import Job
from hgan.index.store.open import read_manifest
from hgan.sources.folders import check_each
from hgan.version import __version__

CONNECT = 5.0
"""Seconds that a cluster has to accept a connection, and to answer."""
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""What a client of HTTP/2, and so of Ray's gRPC, sends first: the preface, and empty settings."""
_SETTINGS = 4
"""Type of the frame with which a server answers (RFC 9113, 3.4); the type is the fourth byte."""
CHECK = 120.0
"""Seconds that a machine has to start a process and load the model."""


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Connect to a cluster while the block runs, unless the process is connected.

    Args:
        address: `HOST:PORT` of its head; by default the one that runs on this machine or that
            $RAY_ADDRESS names, or else a new one of this machine alone.

    Raises:
        ConfigError: Ray is not installed, or no cluster answers.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ConfigError(f"--engine ray needs Ray ({error}); pip install 'hgan[ray]'") from error
    if ray.is_initialized():
        yield
        return
    if address is not None:
        _check_address(address)
    # Otherwise Ray explains, for each worker, what it would take to start it again by itself.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "error")
    try:
        ray.init(address=address, logging_level=logging.WARNING, configure_logging=True)
    except Exception as error:  # Ray has no common base class for these
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"{address or 'Ray'}: cannot join the cluster ({reason}); run this command on one of "
            "its machines, with the same versions of Python and Ray"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Raise `ConfigError` unless something answers there; Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isdecimal() and 0 < int(port) < 2**16) or "/" in host:
        raise ConfigError(
            f"--address {address}: not the address of a Ray cluster; write HOST:PORT of its head, "
            "such as 10.0.0.1:6379, and run this command on one of its machines"
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), CONNECT) as connection:
            connection.sendall(_HELLO)
            answer = connection.recv(9)
        if answer[3:4] != bytes([_SETTINGS]):
            raise OSError("what listens there is not Ray")
    except OSError as error:
        raise ConfigError(
            f"--address {address}: no Ray cluster answers ({error}); start it with `ray start "
            f"--head --port {port}` there, and `ray start --address {address}` on the others"
        ) from error


def check_machines(job: Job) -> None:
    """Let every machine of the cluster open the model, the photos and the index.

    Raises:
        ConfigError: one of them cannot; the message names all that cannot, and why.
    """
    import ray
    from ray.exceptions import GetTimeoutError, RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    check = ray.remote(num_cpus=0, max_retries=0)(check_machine)
    asked = {}
    for node in ray.nodes():
        if node["Alive"] and node["Resources"].get("CPU", 0) >= 1:
            place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
            asked[node["NodeID"]] = name, check.options(scheduling_strategy=place).remote(job)
    if not asked:
        raise ConfigError("the Ray cluster has no machine with a free processor core; add one")
    problems = []
    for name, answer in asked.values():
        try:
            problem = ray.get(answer, timeout=CHECK)
        except GetTimeoutError:
            problem = f"does not answer within {CHECK:.0f} seconds; stop Ray there, and start again"
        except RayError as error:
            problem = (
                f"cannot run hgan ({_last_line(error)}); install there what is installed here: "
                f"pip install 'hgan[serve,ray]=={__version__}'"
            )
        if problem:
            problems.append(f"{name}: {problem}")
    if problems:
        raise ConfigError(
            f"{len(problems)} of {len(asked)} machines of the Ray cluster cannot index: "
            + "; ".join(problems)
        )


def check_machine(job: Job) -> str:
    """What prevents this machine from doing its part of a job; empty if nothing does."""
    if job.version != __version__:
        return f"has hgan {__version__}, not {job.version}; install the same version"
    try:
        job.load_bundle()
    except HganError as error:
        return f"{error}. All machines need the bundle at the same place: copy or mount it there"
    try:
        check_each(job.open_source())
    except HganError as error:
        return f"{error}. All machines need the photos at the same place: mount them there"
    try:
        read_manifest(job.to)
    except HganError as error:
        return str(error)
    return ""


def workers(gpus: bool) -> int:
    """How many workers the cluster has room for: one per core, or one per GPU.

    Raises:
        ConfigError: it has no GPU.
    """
    import ray

    kind = "GPU" if gpus else "CPU"
    number = int(ray.cluster_resources().get(kind, 0))
    if not number:
        raise ConfigError(f"--device: the Ray cluster has no {kind}; omit it, or add a machine")
    return number


def cause(error: BaseException) -> BaseException:
    """The error of hgan that Ray has wrapped; the error itself if there is none."""
    seen: Any = error
    while seen is not None and not isinstance(seen, HganError):
        seen = getattr(seen, "cause", None) or seen.__cause__
    return error if seen is None else seen


def _last_line(error: Exception) -> str:
    return next((line for line in reversed(str(error).splitlines()) if line.strip()), "unknown")
