"""The processes of a distributed run: which one this is, its share of the work, what they exchange.

Each process does a share of the work, and all of them get all results: `gather` concatenates rows,
and in the backward pass it adds up the gradients of all processes. So if every process computes the
same loss of what was gathered, the mean of its gradients over the processes is that of one process.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from hgan.errors import ProcessError


@dataclass(frozen=True)
class Processes:
    """The processes that work together, as seen by one of them; by default, this one alone."""

    rank: int = 0
    """Number of this process, from 0."""
    count: int = 1
    """Number of processes."""
    local: int = 0
    """Number of this process on its machine, from 0."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Device of this process; what is exchanged passes through its memory."""

    @property
    def is_first(self) -> bool:
        """Whether this is the one process that writes files and messages."""
        return self.rank == 0

    def block(self, rows: int) -> slice:
        """This process's consecutive rows; blocks cover all rows and differ by at most one row."""
        return slice(rows * self.rank // self.count, rows * (self.rank + 1) // self.count)

    def every(self, start: int = 0) -> slice:
        """This process's rows, if rows are dealt one by one, in a part of them from `start` on."""
        return slice((self.rank - start) % self.count, None, self.count)

    def owns(self, number: int) -> bool:
        """Whether this process does a piece of work with this number, if they are dealt in turn."""
        return number % self.count == self.rank

    def gather(self, rows: Tensor) -> Tensor:
        """The rows (n, ...) of all processes in their order, (N, ...), with gradients.

        Raises:
            ProcessError: another process has ended.
        """
        if self.count == 1:
            return rows
        counts = self._all(torch.tensor([len(rows)], device=self.device)).flatten().tolist()
        if 0 in rows.shape[1:]:  # a level that the model does not have
            return rows.new_zeros(sum(counts), *rows.shape[1:])
        return _Gather.apply(rows, self, counts)  # type: ignore[no-untyped-call]

    def sum(self, x: Tensor) -> Tensor:
        """The sum of a tensor over the processes, which all get the same bits."""
        return self._reduced(x, dist.ReduceOp.SUM)

    def largest(self, x: Tensor) -> Tensor:
        """The maximum of each element over the processes."""
        return self._reduced(x, dist.ReduceOp.MAX)

    def texts(self, own: str) -> list[str]:
        """A text of each process, in their order."""
        data = torch.frombuffer(bytearray(own.encode()) or bytearray(1), dtype=torch.uint8)
        sizes = self.gather(torch.tensor([len(own.encode())])).tolist()
        rows = torch.split(self.gather(data), [max(1, size) for size in sizes])
        return [bytes(row.tolist()[:size]).decode() for row, size in zip(rows, sizes, strict=True)]

    def copy_from_first(self, x: Tensor) -> None:
        """Overwrite a tensor by that of the first process."""
        if self.count > 1:
            moved = x.detach().to(self.device)
            _reach(lambda: dist.broadcast(moved, 0))
            x.detach().copy_(moved)

    def wait(self) -> None:
        """Wait until all processes are here."""
        self.sum(torch.zeros(1))

    @contextmanager
    def one_of_machine_first(self) -> Iterator[None]:
        """Let the first process of each machine run the block before the others, which can then
        read what it has cached on disk."""
        if self.local != 0:
            self.wait()
        yield
        if self.local == 0:
            self.wait()

    def _reduced(self, x: Tensor, operation: Any) -> Tensor:
        if self.count == 1:
            return x
        summed = x.detach().to(self.device, copy=True).contiguous()
        _reach(lambda: dist.all_reduce(summed, operation))
        return summed.to(x.device)

    def _all(self, x: Tensor) -> Tensor:
        """The equally large tensors of all processes, stacked."""
        found = [torch.empty_like(x) for _ in range(self.count)]
        _reach(lambda: dist.all_gather(found, x))
        return torch.stack(found)


ALONE = Processes()
"""One process, which does all of the work."""


def _reach(exchange: Callable[[], Any]) -> None:
    """Exchange something with the other processes.

    Raises:
        ProcessError: one of them has ended.
    """
    try:
        exchange()
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ProcessError(
            "another process of this run has ended or cannot be reached; its own message says why, "
            f"or a signal has killed it ({reason:.200})"
        ) from error


class _Gather(Function):
    """The rows (n, ...) of all processes, (N, ...). Numbers of rows may differ."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, processes: Processes, counts: list[int]) -> Tensor:
        ctx.processes, ctx.start = processes, sum(counts[: processes.rank])
        ctx.count = len(rows)
        sent = rows.to(torch.uint8) if rows.dtype == torch.bool else rows
        padded = sent.new_zeros(max(counts), *rows.shape[1:], device=processes.device)
        padded[: len(rows)] = sent
        found = processes._all(padded)
        kept = [part[:count] for part, count in zip(found, counts, strict=True)]
        return torch.cat(kept).to(rows.device, rows.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        summed = ctx.processes.sum(gradient)
        return summed[ctx.start : ctx.start + ctx.count], None, None
