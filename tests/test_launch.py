"""Launches that do not fit together are refused, with the fix, before work starts."""

import time
from datetime import timedelta

import pytest
import torch

from hgan import launch
from hgan.errors import ConfigError
from hgan.launch import is_first_process, join, world_size
from hgan.processes import ALONE
from tests.fixtures.processes import Group, environment, free_port

CPU = torch.device("cpu")


@pytest.fixture
def second_of_two(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in environment(1, 2, free_port()).items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_without_a_launcher_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join(CPU) is ALONE and world_size() == 1 and is_first_process()
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert join(CPU) is ALONE and is_first_process()


def test_a_launcher_that_starts_one_process_of_several(monkeypatch: pytest.MonkeyPatch) -> None:
    """As accelerate launch --cpu --num_processes 2 does."""
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    assert join(CPU) is ALONE
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    with pytest.raises(ConfigError, match=r"starts one process .* torchrun --nproc_per_node N -m"):
        is_first_process()


def test_the_first_process_is_known_before_they_join(second_of_two: pytest.MonkeyPatch) -> None:
    assert world_size() == 2 and not is_first_process()
    second_of_two.setenv("RANK", "0")
    assert is_first_process()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("RANK", None, "WORLD_SIZE: 2, but RANK are not set; start all processes with accelerate"),
        ("MASTER_ADDR", None, "WORLD_SIZE: 2, but MASTER_ADDR are not set"),
        ("RANK", "2", "RANK: 2, but WORLD_SIZE is 2, so ranks are 0 to 1"),
        ("RANK", "-1", "RANK: -1, but WORLD_SIZE is 2"),
        ("WORLD_SIZE", "two", "WORLD_SIZE: 'two' is not a number; start all processes with"),
        ("MASTER_PORT", "http", "MASTER_PORT: 'http' is not a number"),
    ],
)
def test_an_environment_that_no_launcher_sets(
    second_of_two: pytest.MonkeyPatch, name: str, value: str | None, said: str
) -> None:
    if value is None:
        second_of_two.delenv(name)
    else:
        second_of_two.setenv(name, value)
    with pytest.raises(ConfigError, match=said):
        join(CPU)


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("mps", "HGAN_DEVICE: mps, but several processes need one GPU each, or the processor"),
        ("cuda:0", "HGAN_DEVICE: cuda:0, but several processes need one GPU each"),
        ("cuda", "at least 2 processes on this machine, but it has 1 GPUs; start at most 1 here"),
    ],
)
def test_devices_that_several_processes_cannot_share(
    second_of_two: pytest.MonkeyPatch, device: str, said: str
) -> None:
    second_of_two.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match=said):
        join(torch.device(device))


def joined(seconds: float) -> tuple[str, float]:
    """What is said, and after how many seconds."""
    launch.JOIN = timedelta(seconds=seconds)
    start = time.monotonic()
    try:
        join(CPU)
    except ConfigError as error:
        return str(error), time.monotonic() - start
    return "", time.monotonic() - start


@pytest.mark.slow
def test_fewer_processes_than_the_launch_has() -> None:
    """Two of three come; the third is waited for, but not for ever."""
    port = free_port()
    group = Group(2, [environment(rank, 3, port) for rank in range(2)])
    for said, seconds in group.run(joined, 3.0):
        assert said.startswith("WORLD_SIZE: 3, but not all 3 processes have come to 127.0.0.1:")
        assert "start as many as WORLD_SIZE says" in said
        assert seconds < 30
    group.close()


@pytest.mark.slow
def test_processes_of_launches_of_another_size() -> None:
    port = free_port()
    values = [environment(0, 2, port), environment(1, 2, port) | {"WORLD_SIZE": "3"}]
    group = Group(2, values)
    first, second = (said for said, _ in group.run(joined, 5.0))
    assert "WORLD_SIZE: 2 in process 0, but 3 in process 1; start all processes" in first
    assert second  # it waits for a third, or the first has ended
    group.close()
