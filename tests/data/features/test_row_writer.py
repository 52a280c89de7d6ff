"""Rows that are written in any order give the file that numpy writes at once."""

from pathlib import Path

import numpy as np
import pytest

from hgan.data.features.row_writer import RowWriter

VALUES = np.random.default_rng(0).normal(size=(7, 2, 3)).astype(np.float32)


def test_rows_in_any_order(tmp_path: Path) -> None:
    np.save(tmp_path / "all.npy", VALUES)
    with RowWriter(tmp_path / "rows.npy", VALUES.shape) as writer:
        for start, stop in [(5, 7), (0, 1), (1, 5)]:
            writer.write(start, VALUES[start:stop].astype(np.float64))
    assert (tmp_path / "rows.npy").read_bytes() == (tmp_path / "all.npy").read_bytes()


def test_a_file_that_is_there_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "half.npy"
    np.save(path, np.zeros((7, 2, 3), np.float16))
    for start in (0, 4):
        with RowWriter(path, (7, 2, 3), "<f2", keep=True) as writer:
            writer.write(start, VALUES[start : start + 2])
            writer.flush()
    expected = np.zeros((7, 2, 3), np.float16)
    expected[[0, 1, 4, 5]] = VALUES[[0, 1, 4, 5]]
    np.testing.assert_array_equal(np.load(path), expected)


def test_rows_never_written_are_zero(tmp_path: Path) -> None:
    with RowWriter(tmp_path / "rows.npy", (3, 2)) as writer:
        writer.write(1, np.ones((1, 2)))
    assert np.load(tmp_path / "rows.npy").tolist() == [[0, 0], [1, 1], [0, 0]]


def test_a_full_disk_is_an_error(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    (tmp_path / "rows.npy").symlink_to("/dev/full")
    with pytest.raises(OSError), RowWriter(tmp_path / "rows.npy", (3, 2)) as writer:
        writer.write(0, np.ones((3, 2)))
