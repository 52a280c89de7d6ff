"""Extraction compared with a loop of eager torch, interrupted, resumed, and with bad photos."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep

import numpy as np
import pytest
import torch
import transformers as hf

from hgan.data.features.manifest import read_manifest
from hgan.data.features.mosaics import mosaic_ids
from hgan.data.features.store import FeatureStore, FeatureWriter
from hgan.errors import ConfigError, DataError
from hgan.files import lock_file
from hgan.runtime.images import open_photo
from hgan.runtime.preprocessing import Preprocessing
from hgan.vision.backbone import Backbone, grid_boxes
from hgan.vision.extract import extract
from hgan.vision.load import load_backbone
from hgan.vision.views import view
from tests.fixtures.extraction import assert_same_store, write_photos

pytestmark = pytest.mark.usefixtures("exported_once")


@pytest.fixture(scope="module")
def hub_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a tiny ViT, which extracts in milliseconds."""
    folder = tmp_path_factory.mktemp("vit")
    torch.manual_seed(0)
    config = hf.ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=32,
        patch_size=8,
    )
    hf.ViTModel(config).save_pretrained(folder)
    hf.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return str(folder)


@torch.inference_mode()
def naive(
    backbone: Backbone, photos: Path, names: list[str], views: int
) -> tuple[np.ndarray, np.ndarray]:
    """Photo after photo, view after view, in eager torch."""
    regions, context = [], []
    for name in names:
        for number in range(views):
            photo = view(open_photo(photos / name), number, name)
            found = backbone(
                torch.from_numpy(Preprocessing(backbone.size).pixels(photo).copy())[None]
            )
            regions.append(found.regions[0].numpy())
            context.append(found.context[0].numpy())
    r, d = regions[0].shape
    return (
        np.stack(regions).reshape(len(names), views, r, d),
        np.stack(context).reshape(len(names), views, d),
    )


@pytest.mark.slow
@pytest.mark.parametrize("which", ["efficientnet-lite2", "hub"])
def test_equals_a_naive_loop_of_eager_torch(which: str, hub_model: str, tmp_path: Path) -> None:
    names = write_photos(tmp_path / "photos", 10)
    backbone = load_backbone(hub_model if which == "hub" else which, grid=2)
    store = extract(backbone, tmp_path / "photos", names, tmp_path / "store", views=3)
    regions, context = naive(backbone, tmp_path / "photos", names, views=3)
    # float16 has 11 significant bits.
    np.testing.assert_allclose(store.regions, regions, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(store.context, context, rtol=1e-3, atol=1e-3)
    assert list(store.rows) == names
    assert store.manifest.backbone == backbone.name
    np.testing.assert_array_equal(store.boxes, grid_boxes(2))


def test_views_differ_and_the_first_is_the_photo_as_it_is(hub_model: str, tmp_path: Path) -> None:
    names = write_photos(tmp_path / "photos", 4)
    backbone = load_backbone(hub_model, grid=2)
    many = extract(backbone, tmp_path / "photos", names, tmp_path / "many", views=4)
    one = extract(backbone, tmp_path / "photos", names, tmp_path / "one", views=1)
    assert many.regions.shape == (4, 4, 4, 32)
    np.testing.assert_allclose(many.regions[:, 0], one.regions[:, 0], rtol=1e-3, atol=1e-3)
    for first in range(4):
        for second in range(first):
            distance = np.abs(many.context[:, first] - many.context[:, second]).max(-1)
            assert (distance > 1e-2).all(), f"views {first} and {second} are the same"


@torch.inference_mode()
def test_a_mosaic_shows_four_photos(hub_model: str, tmp_path: Path) -> None:
    names = write_photos(tmp_path / "photos", 9)
    backbone = load_backbone(hub_model, grid=2)
    ids = mosaic_ids(names, 2)
    store = extract(backbone, tmp_path / "photos", ids, tmp_path / "store")
    assert list(store.rows) == ids and len(ids) == 4
    half = backbone.size // 2
    for row, key in enumerate(ids):
        pixels = np.zeros((backbone.size, backbone.size, 3), np.uint8)
        for quarter, name in enumerate(key.split("\n")):
            y, x = quarter // 2 * half, quarter % 2 * half
            photo = open_photo(tmp_path / "photos" / name)
            pixels[y : y + half, x : x + half] = Preprocessing(half).pixels(photo)
        found = backbone(torch.from_numpy(pixels)[None])
        np.testing.assert_allclose(store.regions[row, 0], found.regions[0], rtol=1e-3, atol=1e-3)


def run_and_kill(arguments: list[str], writes: int) -> int:
    """Extract in another process, which kills itself after a write and before its flush."""
    script = f"""
import os, signal, sys
from pathlib import Path
from time import sleep
import hgan.vision.extract
from hgan.data.features.store import FeatureWriter
from hgan.vision.load import load_backbone

model, photos, folder, *names = sys.argv[1:]
hgan.vision.extract.FLUSH_EVERY = 8
write, count = FeatureWriter.write, 0

def write_and_die(self, *values):
    global count
    write(self, *values)
    count += 1
    if count == {writes}:
        os.kill(os.getpid(), signal.SIGKILL)

FeatureWriter.write = write_and_die
backbone = load_backbone(model, grid=2)
hgan.vision.extract.extract(backbone, Path(photos), names, Path(folder), views=2)
"""
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}).returncode


@pytest.mark.slow
def test_resumes_after_a_kill_with_the_same_bytes(
    hub_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hgan.vision.extract.FLUSH_EVERY", 8)
    photos = tmp_path / "photos"
    names = write_photos(photos, 30)
    (photos / names[3]).write_bytes(b"")
    (photos / names[20]).write_bytes((photos / names[20]).read_bytes()[:300])
    backbone = load_backbone(hub_model, grid=2)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    extract(backbone, photos, names, whole, views=2)

    code = run_and_kill([hub_model, str(photos), str(cut), *names], writes=3)
    assert code == -signal.SIGKILL
    assert read_manifest(cut).rows_done == 16  # the third chunk was written and not flushed
    with pytest.raises(DataError, match="stopped at 16 of 30"):
        FeatureStore(cut)

    store = extract(backbone, photos, names, cut, views=2)
    for name in ("regions.npy", "context.npy", "manifest.json"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes()
    assert list(store.manifest.skipped) == [names[3], names[20]]
    FeatureStore(cut, backbone.name, verify=True)


def test_bad_photos_are_skipped_and_listed(hub_model: str, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    names = write_photos(photos, 31)
    (photos / names[0]).write_bytes(b"")
    (photos / names[4]).write_text("not a photo")
    (photos / names[8]).unlink()
    backbone = load_backbone(hub_model, grid=2)
    store = extract(backbone, photos, names, tmp_path / "store")
    assert set(store.manifest.skipped) == {names[0], names[4], names[8]}
    assert all(name in reason for name, reason in store.manifest.skipped.items())
    assert list(store.rows) == [name for i, name in enumerate(names) if i not in (0, 4, 8)]
    good = list(store.rows)
    regions, _ = naive(backbone, photos, good, views=1)
    rows = [store.rows[name] for name in good]
    np.testing.assert_allclose(store.regions[rows], regions, rtol=1e-3, atol=1e-3)
    for i in (0, 4, 8):
        assert not store.regions[i].any()


def test_the_wrong_folder_is_refused_before_anything_is_written(
    hub_model: str, tmp_path: Path
) -> None:
    names = write_photos(tmp_path / "photos", 20)
    backbone = load_backbone(hub_model, grid=2)
    for name in names[7:10]:
        (tmp_path / "photos" / name).unlink()
    for folder, message in (
        (tmp_path / "none", "none: no such folder; set data.photos"),
        (tmp_path, r"20 of 20 photos are not in this folder, the first is photo 00.jpg; set data"),
        (tmp_path / "photos", r"3 of 20 photos are not .* first is photo 07.jpg; set data.photos"),
    ):
        with pytest.raises(DataError, match=message):
            extract(backbone, folder, names, tmp_path / "store")
        assert not (tmp_path / "store").exists()
    with pytest.raises(DataError, match=r"8 of 8 photos are not"):  # of two mosaics
        extract(backbone, tmp_path, mosaic_ids(names[:8], 1), tmp_path / "store")


def test_too_many_bad_photos_end_the_extraction_and_only_they_are_read_again(
    hub_model: str, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    names = write_photos(photos, 20)
    backbone = load_backbone(hub_model, grid=2)
    extract(backbone, photos, names, tmp_path / "whole", views=2)
    kept = [(photos / name).read_bytes() for name in names[:3]]
    for name in names[:3]:
        (photos / name).write_bytes(b"")
    for _ in range(2):
        with pytest.raises(DataError, match=r"3 of 20 photos could not be read, the first: .*00"):
            extract(backbone, photos, names, tmp_path / "store", views=2)
        with pytest.raises(DataError, match="run `hgan extract` again"):
            FeatureStore(tmp_path / "store")
    for name, content in zip(names, kept, strict=False):
        (photos / name).write_bytes(content)
    for name in names[3:]:
        (photos / name).unlink()  # they are in the store already
    extract(backbone, photos, names, tmp_path / "store", views=2)
    assert_same_store(tmp_path / "store", tmp_path / "whole")


def test_photos_that_were_skipped_are_tried_again(hub_model: str, tmp_path: Path) -> None:
    photos, store = tmp_path / "photos", tmp_path / "store"
    names = write_photos(photos, 40)
    backbone = load_backbone(hub_model, grid=2)
    extract(backbone, photos, names, tmp_path / "whole", views=2)
    kept = {i: (photos / names[i]).read_bytes() for i in (3, 17, 18)}
    (photos / names[3]).write_bytes(b"")
    (photos / names[17]).unlink()
    (photos / names[18]).write_bytes(kept[18][:300])
    assert len(extract(backbone, photos, names, store, views=2).rows) == 37
    before = {file: file.stat().st_mtime_ns for file in store.glob("*.npy")}
    assert len(extract(backbone, photos, names, store, views=2).manifest.skipped) == 3
    assert before == {file: file.stat().st_mtime_ns for file in store.glob("*.npy")}

    (photos / names[17]).write_bytes(kept[17])
    assert list(extract(backbone, photos, names, store, views=2).manifest.skipped) == [
        names[3], names[18],
    ]  # fmt: skip
    FeatureStore(store)
    for i in (3, 18):
        (photos / names[i]).write_bytes(kept[i])
    extract(backbone, photos, names, store, views=2)
    assert_same_store(store, tmp_path / "whole")


def test_a_store_of_nothing_is_filled(hub_model: str, tmp_path: Path) -> None:
    """Older versions wrote one when the folder of the photos was wrong."""
    names = write_photos(tmp_path / "photos", 12)
    backbone = load_backbone(hub_model, grid=2)
    extract(backbone, tmp_path / "photos", names, tmp_path / "whole")
    manifest = read_manifest(tmp_path / "whole")
    manifest.checksums, manifest.rows_done = {}, 0
    with FeatureWriter(tmp_path / "store", manifest) as writer:
        nothing = {name: f"{name}: no such file" for name in names}
        writer.write(np.zeros((12, 1, 4, 32)), np.zeros((12, 1, 32)), nothing)
        writer.finish()
    with pytest.raises(DataError, match="12 of 12 photos could not be read"):
        extract(backbone, tmp_path, names, tmp_path / "store")
    extract(backbone, tmp_path / "photos", names, tmp_path / "store")
    assert_same_store(tmp_path / "store", tmp_path / "whole")


def test_a_finished_store_is_not_made_again(hub_model: str, tmp_path: Path) -> None:
    names = write_photos(tmp_path / "photos", 3)
    backbone = load_backbone(hub_model, grid=2)
    extract(backbone, tmp_path / "photos", names, tmp_path / "store")
    for name in names:
        (tmp_path / "photos" / name).unlink()
    store = extract(backbone, tmp_path / "photos", names, tmp_path / "store")
    assert list(store.rows) == names


def test_a_store_made_in_another_way_is_left_alone(hub_model: str, tmp_path: Path) -> None:
    names = write_photos(tmp_path / "photos", 3)
    photos, store = tmp_path / "photos", tmp_path / "store"
    extract(load_backbone(hub_model, grid=2), photos, names, store)
    before = (store / "regions.npy").read_bytes()
    with pytest.raises(DataError, match="other boxes"):
        extract(load_backbone(hub_model, grid=4), photos, names, store)
    with pytest.raises(DataError, match="other ids"):
        extract(load_backbone(hub_model, grid=2), photos, names[:2], store)
    assert (store / "regions.npy").read_bytes() == before


def test_a_process_waits_for_another_that_writes_the_store(
    hub_model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = write_photos(tmp_path / "photos", 3)
    backbone, folder = load_backbone(hub_model, grid=2), tmp_path / "store"
    folder.mkdir()
    other = lock_file(folder / "lock")
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(extract, backbone, tmp_path / "photos", names, folder)
        sleep(0.5)
        assert not made.done() and not (folder / "manifest.json").exists()
        other.close()
        assert list(made.result(timeout=120).rows) == names
    assert "waiting for another process" in " ".join(capsys.readouterr().err.split())


def test_nothing_is_extracted_where_all_layers_are_trained(hub_model: str, tmp_path: Path) -> None:
    backbone = load_backbone(hub_model, grid=2, trainable_layers=None)
    with pytest.raises(ConfigError, match="no features can be stored; set it to a number"):
        extract(backbone, tmp_path, [], tmp_path / "store")
    assert not (tmp_path / "store").exists()
