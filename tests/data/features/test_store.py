"""The feature store: values that are written are read again, damage is refused."""

import json
import signal
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hgan.data.features.store import (
    FORMAT_VERSION,
    FeatureStore,
    FeatureWriter,
    Manifest,
    read_manifest,
)
from hgan.errors import DataError

N, V, R, D = 7, 2, 3, 4
SKIPPED = {"5.jpg": "5.jpg: truncated"}
RANDOM = np.random.default_rng(0)
REGIONS = RANDOM.normal(size=(N, V, R, D)).astype(np.float32)
CONTEXT = RANDOM.normal(size=(N, V, D)).astype(np.float32)
REGIONS[5], CONTEXT[5] = 0, 0


def manifest(**changes: Any) -> Manifest:
    values: dict[str, Any] = {
        "backbone": "net-1",
        "size": 64,
        "boxes": [[0, 0, 0.5, 1], [0.5, 0, 1, 0.5], [0.5, 0.5, 1, 1]],
        "width": D,
        "views": V,
        "ids": [f"{i}.jpg" for i in range(N)],
    }
    return Manifest(**(values | changes))


def append(writer: FeatureWriter, rows: int) -> None:
    """Write the next rows, as extraction does."""
    start = writer.manifest.rows_done
    stop = min(start + rows, N)
    skipped = {key: SKIPPED[key] for key in writer.manifest.ids[start:stop] if key in SKIPPED}
    writer.write(REGIONS[start:stop], CONTEXT[start:stop], skipped)


def complete(folder: Path, rows: int = 3) -> Path:
    with FeatureWriter(folder, manifest()) as writer:
        while not writer.finished:
            if writer.manifest.rows_done == N:
                writer.finish()
            else:
                append(writer, rows)
                writer.flush()
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return complete(tmp_path / "store")


def edit(folder: Path, **changes: Any) -> None:
    """Change a manifest, which then has no checksum of its own, as older ones."""
    path = folder / "manifest.json"
    values = json.loads(path.read_text())
    del values["checksums"]["manifest"]
    path.write_text(json.dumps(values | changes))


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
from hgan.data.features import store as features
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
for name, target in (("RowWriter", features), ("write_json", features), ("_crc32", features)):
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


def test_another_backbone(folder: Path) -> None:
    with pytest.raises(DataError, match=r"net-1.*net-2"):
        FeatureStore(folder, "net-2")


def test_an_unfinished_store(tmp_path: Path) -> None:
    with FeatureWriter(tmp_path, manifest()) as writer:
        append(writer, 3)
        with pytest.raises(DataError, match="3 of 7"):
            writer.finish()
    with pytest.raises(DataError, match="stopped at 3 of 7"):
        FeatureStore(tmp_path)


def test_no_store(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(DataError, match="no feature store"):
            FeatureStore(path)


@pytest.mark.parametrize("name", ["regions.npy", "context.npy", "manifest.json"])
def test_a_damaged_byte_anywhere_in_a_file(folder: Path, name: str) -> None:
    path = folder / name
    data = path.read_bytes()
    for place in range(len(data)):
        for bit in (1, 32, 64):
            damaged = bytearray(data)
            damaged[place] ^= bit
            path.write_bytes(damaged)
            with pytest.raises(DataError):
                FeatureStore(folder)
    path.write_bytes(data)
    FeatureStore(folder)


def test_an_older_manifest_has_no_checksum_of_its_own(folder: Path) -> None:
    edit(folder)
    assert set(FeatureStore(folder).manifest.checksums) == {"regions", "context"}
    edited = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(edited | {"checksums": {"regions": 0}}))
    with pytest.raises(DataError, match="checksums of regions"):
        FeatureStore(folder)


@pytest.mark.parametrize("name", ["regions", "context"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_feature_that_is_not_finite_is_found_when_it_is_read(
    folder: Path, name: str, value: float
) -> None:
    """A store from elsewhere, whose checksums are right."""
    array = np.load(folder / f"{name}.npy")
    array[4, 1, ..., 2] = value
    np.save(folder / f"{name}.npy", array)
    checksum = zlib.crc32((folder / f"{name}.npy").read_bytes())
    checksums = json.loads((folder / "manifest.json").read_text())["checksums"]
    del checksums["manifest"]
    edit(folder, checksums=checksums | {name: checksum})
    store = FeatureStore(folder)
    store.read(np.array([3, 4]), np.array([0, 0]))
    with pytest.raises(DataError, match=rf"{name}\.npy: features of 4\.jpg are not .* view 1"):
        store.read(np.array([3, 4]), np.array([0, 1]))


def test_a_truncated_file(folder: Path) -> None:
    for name, data in contents(folder).items():
        for length in (0, 1, 5, 9, 40, 127, 128, 129, len(data) // 2, len(data) - 1):
            if name != "manifest.json" or length < len(data) - 1:  # there, a line end
                (folder / name).write_bytes(data[:length])
                with pytest.raises(DataError):
                    FeatureStore(folder, verify=False)
                with pytest.raises(DataError):
                    FeatureWriter(folder, manifest())
        (folder / name).unlink()
        with pytest.raises(DataError):
            FeatureStore(folder, verify=False)
        (folder / name).write_bytes(data)
    FeatureStore(folder)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (REGIONS, "float32"),
        (REGIONS.astype(np.int16), "int16"),
        (REGIONS[..., :-1].astype(np.float16), "manifest says"),
        (REGIONS[:-1].astype(np.float16), "manifest says"),
        (REGIONS[:, 0].astype(np.float16), "manifest says"),
        (np.array([{"a": 1}], dtype=object), "damaged"),
    ],
)
def test_an_array_of_another_type_or_shape(folder: Path, array: np.ndarray, words: str) -> None:
    np.save(folder / "regions.npy", array, allow_pickle=array.dtype == object)
    with pytest.raises(DataError, match=words):
        FeatureStore(folder, verify=False)


def test_an_archive_is_no_array(folder: Path) -> None:
    np.savez(folder / "regions.npz", a=REGIONS)
    (folder / "regions.npz").rename(folder / "regions.npy")
    with pytest.raises(DataError, match="damaged"):
        FeatureStore(folder, verify=False)


@pytest.mark.parametrize(
    "changes",
    [
        {"format_version": FORMAT_VERSION + 1},
        {"format_version": "1"},
        {"ids": None},
        {"ids": ["0.jpg"] * N},
        {"width": "4"},
        {"boxes": [[0, 0, 1]] * R},
        {"boxes": [[0, 0, 1, 1], [0, 0], [0, 0, 1, 1]]},
        {"skipped": []},
        {"rows_done": N + 1},
        {"colour": "red"},
    ],
)
def test_a_manifest_that_cannot_be(folder: Path, changes: dict[str, Any]) -> None:
    edit(folder, **changes)
    with pytest.raises(DataError):
        FeatureStore(folder)
    with pytest.raises(DataError):
        FeatureWriter(folder, manifest())


def test_a_newer_format_is_named(folder: Path) -> None:
    edit(folder, format_version=2)
    with pytest.raises(DataError, match="format version 2, but this version of hgan reads 1"):
        FeatureStore(folder)


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


# --- input of trained layers


MAPS = RANDOM.normal(size=(N, V, 2, 3, 3)).astype(np.float32)
MAPS[5] = 0
TRAINED = {"trainable_layers": 4, "map_shape": [2, 3, 3]}


@pytest.fixture
def with_maps(tmp_path: Path) -> Path:
    with FeatureWriter(tmp_path / "maps", manifest(**TRAINED)) as writer:
        writer.write(REGIONS[:3], CONTEXT[:3], {}, MAPS[:3])
        writer.write(REGIONS[3:], CONTEXT[3:], SKIPPED, MAPS[3:])
        writer.finish()
    return tmp_path / "maps"


def test_maps_are_read_only_if_blocks_are_trained(with_maps: Path) -> None:
    store = FeatureStore(with_maps, trainable_layers=4)
    rows, views = np.array([6, 0, 3]), np.array([1, 0, 1])
    found = store.read(rows, views)
    np.testing.assert_array_equal(found.maps, MAPS.astype(np.float16)[rows, views])
    np.testing.assert_array_equal(found.regions, REGIONS.astype(np.float16)[rows, views])
    assert found.maps.dtype == np.float32
    frozen = FeatureStore(with_maps)
    assert frozen.maps is None and frozen.read(rows, views).maps is None
    assert sorted(contents(with_maps)) == [
        "context.npy", "manifest.json", "maps.npy", "regions.npy",
    ]  # fmt: skip


def test_a_store_for_other_trainable_layers(with_maps: Path, folder: Path) -> None:
    for store, made in ((with_maps, 4), (folder, 0)):
        words = f"{store.name}: made for {made} trained layers .*layers is 5; extract again"
        with pytest.raises(DataError, match=words):
            FeatureStore(store, trainable_layers=5)


def test_a_manifest_from_before_there_were_trainable_layers_and_embeddings(folder: Path) -> None:
    path = folder / "manifest.json"
    values = json.loads(path.read_text())
    del values["trainable_layers"], values["map_shape"], values["checksums"]["manifest"]
    del values["context_width"]
    path.write_text(json.dumps(values))
    store = FeatureStore(folder, "net-1")
    assert (store.manifest.trainable_layers, store.manifest.map_shape) == (0, [])
    assert store.context_width == 0
    np.testing.assert_array_equal(store.regions, REGIONS.astype(np.float16))
    with FeatureWriter(folder, manifest()) as writer:
        assert writer.finished


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


@pytest.mark.parametrize("name", ["skipped", "checksums", "rows_done", "ids"])
def test_a_manifest_without_another_field_is_refused(folder: Path, name: str) -> None:
    path = folder / "manifest.json"
    values = json.loads(path.read_text())
    del values[name]
    path.write_text(json.dumps(values))
    with pytest.raises(DataError, match="not a manifest"):
        FeatureStore(folder)


@pytest.mark.parametrize(
    "changes",
    [{"map_shape": []}, {"trainable_layers": 0}, {"map_shape": [2, 3]}, {"map_shape": [2, 3, "a"]}],
)
def test_maps_that_do_not_fit_the_manifest(with_maps: Path, changes: dict[str, Any]) -> None:
    edit(with_maps, **changes)
    with pytest.raises(DataError):
        FeatureStore(with_maps, trainable_layers=4)


def test_damaged_maps(with_maps: Path) -> None:
    path = with_maps / "maps.npy"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"maps\.npy: damaged"):
        FeatureStore(with_maps, trainable_layers=4)
    path.unlink()
    with pytest.raises(DataError, match=r"maps\.npy"):
        FeatureStore(with_maps, verify=False, trainable_layers=4)


def test_maps_must_be_given_where_they_are_expected_and_only_there(tmp_path: Path) -> None:
    """Without this check, their rows would be zero."""
    with FeatureWriter(tmp_path / "a", manifest(**TRAINED)) as writer:
        with pytest.raises(DataError, match="has regions, context, maps, but regions, context"):
            writer.write(REGIONS, CONTEXT, {})
        with pytest.raises(DataError, match="maps of shape"):
            writer.write(REGIONS, CONTEXT, {}, MAPS[:, :1])
        bad = MAPS.copy()
        bad[2, 0, 1] = np.inf
        with pytest.raises(DataError, match=r"^2\.jpg: its maps features are not finite"):
            writer.write(REGIONS, CONTEXT, {}, bad)
        assert writer.manifest.rows_done == 0
    with (
        FeatureWriter(tmp_path / "b", manifest()) as writer,
        pytest.raises(DataError, match="has regions, context, but"),
    ):
        writer.write(REGIONS, CONTEXT, {}, MAPS)


@pytest.mark.parametrize(
    "changes", [{"trainable_layers": 3}, {"map_shape": [2, 4, 4]}], ids=lambda c: next(iter(c))
)
def test_a_store_for_other_blocks_is_not_continued(
    with_maps: Path, changes: dict[str, Any]
) -> None:
    before = contents(with_maps)
    with pytest.raises(DataError, match=f"other {next(iter(changes))}"):
        FeatureWriter(with_maps, manifest(**(TRAINED | changes)))
    assert contents(with_maps) == before


def test_a_store_of_no_photos(tmp_path: Path) -> None:
    with FeatureWriter(tmp_path, manifest(ids=[])) as writer:
        writer.finish()
    assert FeatureStore(tmp_path).regions.shape == (0, V, R, D)


def test_a_store_of_an_older_version_with_maps_is_read(with_maps: Path) -> None:
    """When the setting had another name."""
    path = with_maps / "manifest.json"
    path.write_text(path.read_text().replace('"trainable_layers"', '"trained_blocks"'))
    values = json.loads(path.read_text())
    del values["checksums"]["manifest"]
    path.write_text(json.dumps(values))
    assert FeatureStore(with_maps, trainable_layers=4).manifest.trainable_layers == 4
