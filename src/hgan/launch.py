"""Join the processes that a launcher has started, such as `accelerate launch` or `torchrun`.

A launcher describes them in environment variables: $WORLD_SIZE is their number, $RANK the number of
this one, $LOCAL_RANK that on its machine, $MASTER_ADDR and $MASTER_PORT where they meet.
"""

import os
from datetime import timedelta

import torch
from torch import distributed as dist
from torch.distributed.rendezvous import rendezvous

from hgan.errors import ConfigError
from hgan.processes import ALONE, Processes
from hgan.progress import console

JOIN = timedelta(minutes=5)
"""How long a process waits for all others when it starts."""
ANSWER = timedelta(minutes=30)
"""How long a process waits for one that is there, but does not answer. The end of a process is
noticed at once."""
_NEEDED = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def world_size() -> int:
    """The number of processes that a launcher has started, by $WORLD_SIZE; without one, 1.

    Raises:
        ConfigError: it is not a number; or accelerate was asked for several processes without GPUs,
            of which it starts only one.
    """
    if os.environ.get("WORLD_SIZE"):
        return _number("WORLD_SIZE")
    if os.environ.get("ACCELERATE_USE_CPU") and os.environ.get("MASTER_ADDR"):
        raise ConfigError(
            "accelerate launch starts one process if it is asked for several on processors; start "
            "them with torchrun --nproc_per_node N -m hgan ..., or with --num_processes 1"
        )
    return 1


def is_first_process() -> bool:
    """Whether this process writes files and results; it can be asked before `join`."""
    return world_size() == 1 or _number("RANK") == 0


def join(device: torch.device) -> Processes:
    """Join the other processes of a launch, if there are any. Only the first prints messages.

    Args:
        device: the processor, or GPUs, of which each process takes one.

    Raises:
        ConfigError: the environment does not describe a launch, the processes do not fit the
            devices of this machine, or some of them do not come within `JOIN`.
    """
    count = world_size()
    if count == 1:
        return ALONE
    if missing := [name for name in _NEEDED if not os.environ.get(name)]:
        raise ConfigError(
            f"WORLD_SIZE: {count}, but {' and '.join(missing)} are not set; start all processes "
            "with accelerate launch or torchrun, or unset WORLD_SIZE to train with one"
        )
    rank, local, _ = _number("RANK"), _number("LOCAL_RANK"), _number("MASTER_PORT")
    if not 0 <= rank < count:
        raise ConfigError(
            f"RANK: {rank}, but WORLD_SIZE is {count}, so ranks are 0 to {count - 1}; start all "
            "processes with one launcher, and on each machine with another --machine_rank"
        )
    if device.type != "cpu":
        device = _own_gpu(device, local)
    if not dist.is_initialized():
        _connect(count, rank, "nccl" if device.type == "cuda" else "gloo")
    console.quiet = rank > 0
    return Processes(rank, count, local, device)


def _connect(count: int, rank: int, backend: str) -> None:
    """Find the other processes, and check that there are as many as all of them expect."""
    reached = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    try:
        store, _, _ = next(iter(rendezvous("env://", timeout=JOIN)))
        store.set(f"hgan/{rank}", str(count))
        expected = {}
        for other in range(count):
            store.wait([f"hgan/{other}"], JOIN)
            expected[other] = int(store.get(f"hgan/{other}"))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"WORLD_SIZE: {count}, but not all {count} processes have come to {reached} within "
            f"{JOIN.total_seconds():.0f} seconds; start as many as WORLD_SIZE says, the same on "
            f"all machines, and check that they can reach this address ({reason:.200})"
        ) from error
    for other, number in expected.items():
        if number != count:
            raise ConfigError(
                f"WORLD_SIZE: {count} in process {rank}, but {number} in process {other}; start "
                "all processes with the same --num_processes and --num_machines"
            )
    dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=ANSWER)


def _own_gpu(device: torch.device, local: int) -> torch.device:
    """The GPU of the process with this number on its machine; CUDA uses it from now on."""
    if str(device) != "cuda":
        raise ConfigError(
            f"HGAN_DEVICE: {device}, but several processes need one GPU each, or the processor; "
            "set it to auto, cuda or cpu, and choose GPUs with --gpu_ids or $CUDA_VISIBLE_DEVICES"
        )
    if local >= (count := torch.cuda.device_count()):
        raise ConfigError(
            f"LOCAL_RANK: {local}, so there are at least {local + 1} processes on this machine, "
            f"but it has {count} GPUs; start at most {count} here (--num_processes), or set "
            "HGAN_DEVICE to cpu"
        )
    own = torch.device("cuda", local)
    torch.cuda.set_device(own)
    return own


def _number(name: str) -> int:
    value = os.environ.get(name, "")
    if not value.strip().lstrip("-").isdecimal():
        raise ConfigError(
            f"{name}: {value!r} is not a number; start all processes with accelerate launch or "
            "torchrun"
        )
    return int(value)
