"""Training by several processes, whose gradients are those of one process.

Every step, each process encodes its share of the photos and captions of a batch, and scores its
photos with all captions. Captions and scores are gathered, so that all processes compute the loss
of the whole batch. Unlike with the mean of losses of parts, each photo has the whole batch as
negatives. `optim.batch_images` is the whole batch, so that a run can be continued with another
number of processes.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hgan.errors import ConfigError
from hgan.processes import Processes
from hgan.training.config import Config

BUCKET = 1 << 24
"""Number of values of gradients that are exchanged at once."""


def check_batch(
    processes: Processes, config: Config, images: int, steps: int, network: nn.Module
) -> None:
    """Check that a batch can be shared by the processes, and encoded in chunks if that is set.

    Args:
        processes: the processes.
        config: settings of the run.
        images: number of photos in a batch.
        steps: number of steps in an epoch.
        network: the network, in training mode.

    Raises:
        ConfigError: there are more processes than photos; an epoch has no step; or the network has
            batch norm, whose result depends on which photos are encoded together.
    """
    if steps == 0:
        raise ConfigError(
            f"optim.accumulate: {config.optim.accumulate}, but an epoch has fewer batches of "
            f"{images} photos; lower optim.accumulate or optim.batch_images"
        )
    mosaics = config.vision.mosaics and getattr(network, "uses_mosaics", False)
    most = images // 4 if mosaics else images
    if processes.count > max(most, 1):  # one process says itself what is missing
        raise ConfigError(
            f"{processes.count} processes, but a batch has {most} "
            f"{'mosaics' if mosaics else 'photos'}; start at most {most} processes, or raise "
            "optim.batch_images"
        )
    chunk = config.optim.chunk_images
    parted = processes.count > 1 or (chunk is not None and chunk < images)
    normal = [n for n, m in network.named_modules() if isinstance(m, _BatchNorm) and m.training]
    if parted and normal:
        raise ConfigError(
            f"{config.model.name} has batch norm ({', '.join(normal)}), whose result depends on "
            "which photos are encoded together; train with one process and without "
            "optim.chunk_images, or switch it off (model.batch_norm, model.residual)"
        )


def copy_weights(processes: Processes, *modules: nn.Module) -> None:
    """Give all processes the weights and buffers of the first one."""
    for module in modules:
        for x in (*module.parameters(), *module.buffers()):
            processes.copy_from_first(x)


def average_gradients(processes: Processes, parameters: Iterable[nn.Parameter]) -> None:
    """Replace the gradients of parameters by their means over the processes.

    A parameter without gradient in all processes keeps none.

    Raises:
        ProcessError: another process has ended.
    """
    if processes.count == 1:
        return
    trained = [p for p in parameters if p.requires_grad]
    used = processes.sum(torch.tensor([float(p.grad is not None) for p in trained]))
    gradients = []
    for parameter, count in zip(trained, used.tolist(), strict=True):
        if count and parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        if parameter.grad is not None:
            gradients.append(parameter.grad)
    for bucket in _buckets(gradients):
        flat = processes.sum(torch.cat([x.flatten() for x in bucket])) / processes.count
        for x, part in zip(bucket, torch.split(flat, [x.numel() for x in bucket]), strict=True):
            x.copy_(part.view_as(x))


def epoch_seed(seed: int, epoch: int, rank: int) -> int:
    """Seed of the random numbers, such as those of dropout, of a process in an epoch."""
    return int(np.random.SeedSequence((seed, epoch, rank)).generate_state(1)[0])


def _buckets(gradients: list[Tensor]) -> Iterator[list[Tensor]]:
    """Gradients of the same type together, up to `BUCKET` values unless one alone has more."""
    bucket: list[Tensor] = []
    size = 0
    for x in gradients:
        if bucket and (size + x.numel() > BUCKET or x.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(x)
        size += x.numel()
    if bucket:
        yield bucket
