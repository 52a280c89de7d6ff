"""What several real processes exchange, and which share of the work each of them has."""

import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hgan.errors import ProcessError
from hgan.launch import join
from hgan.processes import ALONE, Processes
from tests.fixtures.processes import Group, processes

shares = st.tuples(st.integers(0, 40), st.integers(1, 7))


@given(shares)
def test_blocks_are_consecutive_and_cover_every_row_once(share: tuple[int, int]) -> None:
    rows, count = share
    parts = [list(range(rows))[Processes(rank, count).block(rows)] for rank in range(count)]
    assert [row for part in parts for row in part] == list(range(rows))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(shares, st.integers(0, 40))
def test_dealt_rows_are_the_same_in_parts_and_cover_every_row_once(
    share: tuple[int, int], cut: int
) -> None:
    rows, count = share
    items, cut = list(range(rows)), min(cut, rows)
    whole = [items[Processes(rank, count).every()] for rank in range(count)]
    assert sorted(row for part in whole for row in part) == items
    for rank, expected in enumerate(whole):
        own = Processes(rank, count)
        assert items[:cut][own.every()] + items[cut:][own.every(cut)] == expected


def here() -> Processes:
    return join(torch.device("cpu"))


def exchange() -> list[Any]:
    """Rank r has r + 1 rows, each with its rank and place."""
    own = here()
    rows = torch.tensor([[own.rank, place] for place in range(own.rank + 1)], dtype=torch.float64)
    rows.requires_grad_()
    found = own.gather(rows)
    weights = torch.arange(found.numel(), dtype=torch.float64).view_as(found)
    (found * weights * (own.rank + 1)).sum().backward()
    return [
        found.tolist(),
        rows.grad.tolist(),
        own.gather(rows[:, 0] > 0).tolist(),
        own.gather(rows.detach()[: own.rank]).shape[0],
        own.gather(rows.new_zeros(own.rank + 1, 0)).shape,
        own.texts(f"é{own.rank}" if own.rank else ""),
        own.sum(torch.tensor([1, own.rank])).tolist(),
        own.largest(torch.tensor(-float(own.rank))).item(),
    ]


@pytest.mark.slow
def test_rows_are_gathered_in_order_and_their_gradients_are_summed(trio: Group) -> None:
    every = [[0, 0], [1, 0], [1, 1], [2, 0], [2, 1], [2, 2]]
    slopes = [[6.0 * (2 * i), 6.0 * (2 * i + 1)] for i in range(6)]  # 1 + 2 + 3 times the weight
    for rank, found in enumerate(trio.run(exchange)):
        rows, gradient, masks, some, empty, texts, total, largest = found
        assert rows == every
        start = [0, 1, 3][rank]
        assert gradient == slopes[start : start + rank + 1]
        assert masks == [False, True, True, True, True, True]
        assert some == 3 and empty == (6, 0)  # also where a process has no row
        assert texts == ["", "é1", "é2"]
        assert total == [3, 3] and largest == 0.0


def test_one_process_exchanges_nothing() -> None:
    x = torch.rand(3, 2, requires_grad=True)
    assert ALONE.gather(x) is x and ALONE.sum(x) is x and ALONE.texts("a") == ["a"]
    ALONE.wait()


def copied() -> Tensor:
    own = here()
    x = torch.full((2,), float(own.rank + 5))
    own.copy_from_first(x)
    return x


@pytest.mark.slow
def test_weights_are_those_of_the_first(pair: Group) -> None:
    assert all(x.tolist() == [5.0, 5.0] for x in pair.run(copied))


@pytest.mark.slow
def test_a_process_that_ends_is_noticed_at_once() -> None:
    with processes(3) as group:
        group.run(here)
        group.start(wait_for_ever)
        group.kill(1)
        first, killed, last = group.results()
    assert killed is None
    for error in (first, last):
        assert isinstance(error, ProcessError)
        assert "another process of this run has ended or cannot be reached" in str(error)


def wait_for_ever() -> None:
    own = here()
    if own.rank == 1:
        time.sleep(600)
    own.wait()


def test_the_first_of_a_machine_goes_first(pair: Group) -> None:
    assert pair.run(turns) == [["first"], ["first", "second"]]


def turns() -> list[str]:
    own = here()
    [name, _] = own.texts(tempfile.mkdtemp() if own.is_first else "")
    log = Path(name) / "log"
    with own.one_of_machine_first():
        with log.open("a") as file:
            file.write("first\n" if own.is_first else "second\n")
        seen = log.read_text().split()
    return seen
