"""A run's state on disk: it is read exactly as written, and a kill leaves a complete one."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hgan.errors import DataError
from hgan.training.checkpoint import (
    load_state,
    random_state,
    save_state,
    set_random_state,
)


def test_a_state_comes_back_with_its_types(tmp_path: Path) -> None:
    shared = torch.randn(3)
    state = {
        "weights": {"a.b": shared, "twin": shared, "half": torch.ones(2, dtype=torch.bfloat16)},
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}, 7: {}}, "betas": (0.9, 0.999)},
        "history": [{"loss": 0.1 + 0.2, "epoch": np.int64(3)}],
        "nothing": None,
        "name": "größe",
        "flag": True,
    }
    save_state(tmp_path / "last", state)
    found = load_state(tmp_path / "last")
    assert torch.equal(found["weights"]["a.b"], shared)
    assert torch.equal(found["weights"]["twin"], shared)
    assert found["weights"]["half"].dtype == torch.bfloat16
    assert list(found["optimizer"]["state"]) == [0, 7]  # integers, not text
    assert found["optimizer"]["state"][0]["step"].shape == ()
    assert found["optimizer"]["betas"] == [0.9, 0.999]
    assert found["history"] == [{"loss": 0.1 + 0.2, "epoch": 3}]
    assert (found["nothing"], found["name"], found["flag"]) == (None, "größe", True)
    names = {"tensors.safetensors", "state.json", "checksums.json"}
    assert {p.name for p in (tmp_path / "last").iterdir()} == names


def test_random_numbers_go_on_where_they_were(tmp_path: Path) -> None:
    save_state(tmp_path / "last", random_state())
    expected = torch.rand(5)
    torch.rand(100)
    set_random_state(load_state(tmp_path / "last"))
    assert torch.equal(torch.rand(5), expected)


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json"])
def test_a_damaged_state_is_refused(tmp_path: Path, name: str) -> None:
    save_state(tmp_path / "last", {"a": torch.ones(50)})
    file = tmp_path / "last" / name
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DataError, match=f"^{file}: damaged, .*; restore it .* train again"):
        load_state(tmp_path / "last")
    (tmp_path / "last" / "checksums.json").unlink()  # as in older versions
    with pytest.raises(DataError, match=f"^{file}: no state to resume .* train again"):
        load_state(tmp_path / "last")


def test_a_state_of_a_machine_with_more_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random states of GPUs that are not there are left out."""
    restored: list[torch.Tensor] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", restored.extend)
    own = torch.get_rng_state()
    set_random_state({"torch": own, "cuda": [torch.tensor([1]), torch.tensor([2])]})
    assert restored == [torch.tensor([1])]


def test_a_state_is_replaced(tmp_path: Path) -> None:
    for epoch in (1, 2):
        save_state(tmp_path / "last", {"epoch": epoch})
        assert load_state(tmp_path / "last") == {"epoch": epoch}
    assert [p.name for p in tmp_path.iterdir()] == ["last"]


def test_weights_are_synced_before_the_old_state_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[str] = set()
    fsync, rmtree = os.fsync, shutil.rmtree

    def sync(descriptor: int) -> None:
        synced.add(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def remove(path: Path, **options: Any) -> None:
        if path.exists():
            assert {"tensors.safetensors", "state.json", ".last.new", tmp_path.name} <= synced
        rmtree(path, **options)

    save_state(tmp_path / "last", {"a": torch.ones(50)})
    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(shutil, "rmtree", remove)
    save_state(tmp_path / "last", {"a": torch.zeros(50)})
    assert torch.equal(load_state(tmp_path / "last")["a"], torch.zeros(50))
