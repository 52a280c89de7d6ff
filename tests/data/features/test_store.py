"""The feature store: what is written is read again, and an interrupted run is continued."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hgan.data.features.manifest import FORMAT_VERSION, read_manifest
from hgan.data.features.store import FeatureStore, FeatureWriter
from hgan.errors import DataError
from tests.fixtures.feature_store import (
    CONTEXT,
    RANDOM,
    REGIONS,
    SKIPPED,
    D,
    N,
    R,
    V,
    append,
    complete,
    contents,
    manifest,
)


def test_round_trip(folder: Path) -> None:
    store = FeatureStore(folder, "net-1")
    np.testing.assert_array_equal(store.regions, REGIONS.astype(np.float16))
    np.testing.assert_array_equal(store.context, CONTEXT.astype(np.float16))
    np.testing.assert_array_equal(store.boxes, np.array(manifest().boxes, np.float32))
    assert isinstance(store.regions, np.memmap) and not store.regions.flags.writeable
    assert store.rows == {f"{i}.jpg": i for i in range(N) if i != 5}
    assert store.manifest.skipped == SKIPPED
    assert sorted(contents(folder)) == ["context.npy", "manifest.json", "regions.npy"]


def test_the_arrays_are_plain_npy_files(folder: Path) -> None:
    """The format that other programs, and stores already written, rely on."""
    np.testing.assert_array_equal(np.load(folder / "regions.npy"), REGIONS.astype(np.float16))
    values = json.loads((folder / "manifest.json").read_text())
    assert values["format_version"] == FORMAT_VERSION == 1
    assert list(values) == [
        "backbone", "size", "boxes", "width", "views", "ids", "trainable_layers", "map_shape",
        "context_width", "skipped", "checksums", "rows_done", "format_version",
    ]  # fmt: skip


@pytest.mark.parametrize("rows", [1, 2, N])
def test_how_rows_are_grouped_changes_nothing(folder: Path, tmp_path: Path, rows: int) -> None:
    assert contents(complete(tmp_path / "other", rows)) == contents(folder)


KILLED = """
import os, signal, sys
from pathlib import Path
from hgan.data.features import manifest, store as features
sys.path.insert(0, {here!r})
from test_store import complete

left, real = int(sys.argv[2]), {{}}
def deadly(name, target):
    real[name] = getattr(target, name)
    def step(*args, **options):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real[name](*args, **options)
    setattr(target, name, step)
for name, target in (("RowWriter", features), ("write_json", manifest), ("_crc32", features)):
    deadly(name, target)
for name in ("write", "flush", "_save"):
    deadly(name, features.FeatureWriter)
complete(Path(sys.argv[1]))
"""


FULL = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from test_store import complete
from hgan.data.features import row_writer

limit, write = 300, row_writer.RowWriter.write  # of the file's bytes, of which the head has 128
def on_a_full_disk(self, row, values):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    write(self, row, values)
row_writer.RowWriter.write = on_a_full_disk
try:
    complete(Path(sys.argv[1]))
except OSError as error:
    print(error.strerror)
"""


def test_a_full_disk_is_an_error_and_what_was_written_stays(folder: Path, tmp_path: Path) -> None:
    """A limit on file size fails a write as a full disk does; a memory map would die of it."""
    cut = tmp_path / "cut"
    code = FULL.format(here=str(Path(__file__).parent))
    arguments = [sys.executable, "-c", code, str(cut)]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)
    assert "File too large" in done.stdout
    with pytest.raises(DataError, match="extraction stopped at"):
        FeatureStore(cut)
    assert contents(complete(cut)) == contents(folder)


@pytest.mark.slow
def test_killed_at_any_point_and_continued_equals_uninterrupted(
    folder: Path, tmp_path: Path
) -> None:
    """A process is killed at its first, second, ... step, until one is left to finish."""
    code = KILLED.format(here=str(Path(__file__).parent))
    steps = 0
    while True:
        cut = tmp_path / f"cut {steps}"
        arguments = [sys.executable, "-c", code, str(cut), str(steps)]
        done = subprocess.run(arguments, check=False)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        with pytest.raises(DataError):
            FeatureStore(cut)
        found = {name: data for name, data in contents(complete(cut)).items() if name[0] != "."}
        assert found == contents(folder), f"killed at step {steps}"
        steps += 1
    assert steps > 15


def test_torn_rows_of_a_killed_run_are_written_again(folder: Path, tmp_path: Path) -> None:
    """What lies after the rows that the manifest counts may be anything."""
    other = tmp_path / "other"
    with FeatureWriter(other, manifest()) as writer:
        append(writer, 3)
    array = np.lib.format.open_memmap(other / "regions.npy", mode="r+")
    array[3:] = np.nan
    array.flush()
    assert contents(complete(other)) == contents(folder)


def test_an_error_keeps_what_was_written(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), FeatureWriter(tmp_path, manifest()) as writer:
        append(writer, 4)
        raise KeyboardInterrupt
    assert read_manifest(tmp_path).rows_done == 4


def test_a_finished_store_is_left_as_it_is(folder: Path) -> None:
    before = contents(folder)
    with FeatureWriter(folder, manifest()) as writer:
        assert writer.finished
    assert contents(folder) == before


@pytest.mark.parametrize(
    "changes",
    [
        {"backbone": "net-2"},
        {"size": 65},
        {"views": 1},
        {"width": D + 1},
        {"boxes": [[0, 0, 1, 1]] * R},
        {"ids": [f"{i}.jpg" for i in range(1, N + 1)]},
    ],
)
def test_a_store_made_another_way_is_not_continued(folder: Path, changes: dict[str, Any]) -> None:
    before = contents(folder)
    with pytest.raises(DataError, match=f"other {next(iter(changes))}"):
        FeatureWriter(folder, manifest(**changes))
    assert contents(folder) == before


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 70_000.0])
@pytest.mark.parametrize("which", ["regions", "context"])
def test_features_that_float16_cannot_hold(tmp_path: Path, value: float, which: str) -> None:
    arrays = {"regions": REGIONS.copy(), "context": CONTEXT.copy()}
    arrays[which][4, 1, ..., 2] = value
    with FeatureWriter(tmp_path, manifest()) as writer:
        append(writer, 3)
        with pytest.raises(DataError, match=rf"^4\.jpg: its {which}"):
            writer.write(arrays["regions"][3:], arrays["context"][3:], {})
        assert writer.manifest.rows_done == 3
    assert complete(tmp_path).is_dir()


@pytest.mark.parametrize(
    ("regions", "context"),
    [
        (REGIONS[..., :-1], CONTEXT),  # another width
        (REGIONS[..., :1], CONTEXT),  # would broadcast
        (REGIONS, CONTEXT[..., :1]),
        (REGIONS[:, :1], CONTEXT),
        (REGIONS[:3], CONTEXT),
        (np.concatenate([REGIONS] * 2), np.concatenate([CONTEXT] * 2)),  # too many
    ],
)
def test_features_of_another_shape(
    tmp_path: Path, regions: np.ndarray, context: np.ndarray
) -> None:
    with (
        FeatureWriter(tmp_path, manifest()) as writer,
        pytest.raises(DataError, match="of shape"),
    ):
        writer.write(regions, context, {})
    assert read_manifest(tmp_path).rows_done == 0


def test_ids_are_unique(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"0\.jpg: listed twice"):
        FeatureWriter(tmp_path, manifest(ids=["0.jpg", "1.jpg", "0.jpg"]))
    assert not list(tmp_path.iterdir())


def test_contexts_can_have_a_width_of_their_own(tmp_path: Path) -> None:
    embeddings = RANDOM.normal(size=(N, V, D + 3)).astype(np.float32)
    with FeatureWriter(tmp_path / "store", manifest(context_width=D + 3)) as writer:
        with pytest.raises(DataError, match=r"context of shape .* for rows of"):
            writer.write(REGIONS, CONTEXT, {})
        writer.write(REGIONS, embeddings, SKIPPED)
        writer.finish()
    store = FeatureStore(tmp_path / "store")
    found = store.read(np.array([3, 0]), np.array([1, 0]))
    np.testing.assert_array_equal(found.context, embeddings.astype(np.float16)[[3, 0], [1, 0]])
    assert (store.width, store.context_width) == (D, D + 3)


def test_a_store_of_no_photos(tmp_path: Path) -> None:
    with FeatureWriter(tmp_path, manifest(ids=[])) as writer:
        writer.finish()
    assert FeatureStore(tmp_path).regions.shape == (0, V, R, D)
