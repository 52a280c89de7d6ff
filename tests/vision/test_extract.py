"""Extraction compared with a loop of eager torch, interrupted, resumed, and with bad photos."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from time import sleep

import numpy as np
import pytest
import torch
import transformers as hf
from PIL import Image
from torch import nn

from hgan.data.features.manifest import read_manifest
from hgan.data.features.mosaics import mosaic_ids
from hgan.data.features.store import FeatureStore, FeatureWriter
from hgan.errors import ConfigError, DataError
from hgan.files import lock_file
from hgan.runtime.images import open_photo
from hgan.runtime.preprocessing import Preprocessing
from hgan.vision.backbone import Backbone, Blocks, GridPool, Regions, grid_boxes, pool
from hgan.vision.extract import backbone_session, extract
from hgan.vision.load import load_backbone
from hgan.vision.views import view


def write_photos(folder: Path, count: int) -> list[str]:
    """JPEG photos of smooth noise, of several shapes and modes."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(3)
    names = []
    for i in range(count):
        coarse = rng.integers(0, 256, (6, 7, 3), dtype=np.uint8)
        photo = Image.fromarray(coarse).resize((90 + 11 * i % 70, 80 + 7 * i % 50))
        names.append(f"photo {i:02}.jpg")
        photo.convert("L" if i % 5 == 4 else "RGB").save(folder / names[-1])
    return names


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


@pytest.fixture(autouse=True)
def _sessions(sessions: dict[object, object], monkeypatch: pytest.MonkeyPatch) -> None:
    """A backbone is exported once in this file, which takes seconds, and not in every test."""

    def once(backbone: Backbone) -> object:
        key = backbone.name, backbone.grid, backbone.size, backbone.trainable_layers
        if key not in sessions:
            sessions[key] = backbone_session(backbone)
        return sessions[key]

    monkeypatch.setattr("hgan.vision.extract.backbone_session", once)


@pytest.fixture(scope="module")
def sessions() -> dict[object, object]:
    return {}


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


@pytest.mark.parametrize(
    "which", [pytest.param("efficientnet-lite2", marks=pytest.mark.slow), "hub"]
)
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


def assert_same_store(one: Path, other: Path) -> None:
    for file in other.iterdir():
        assert (one / file.name).read_bytes() == file.read_bytes(), file.name
    FeatureStore(one)  # compares the checksums


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


# --- input of trained layers


class ConvBackbone(Backbone):
    """Three convolutions, of which the last ones can be trained."""

    name, size, width = "three convolutions", 32, 10

    def __init__(self, trainable_layers: int, grid: int = 2) -> None:
        super().__init__(mean=(127.0,) * 3, std=(128.0,) * 3)
        self.grid, self.trainable_layers = grid, trainable_layers
        with torch.random.fork_rng():
            torch.manual_seed(4)
            layers = [nn.Conv2d(3, 6, 4, 4), nn.Conv2d(6, 8, 1), nn.Conv2d(8, 10, 1)]
        self.layers = nn.Sequential(*layers).eval()

    def feature_map(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.layers(pixels)

    def lower(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.layers[: 3 - self.trainable_layers](pixels)

    def upper(self, maps: torch.Tensor) -> Regions:
        return pool(self.layers[3 - self.trainable_layers :](maps), self.grid)

    def blocks(self) -> Blocks:
        copy = deepcopy(self.layers[3 - self.trainable_layers :])
        return Blocks(copy, GridPool(self.grid))


@torch.inference_mode()
def assert_maps(store: FeatureStore, backbone: Backbone, photos: Path, names: list[str]) -> None:
    """Maps and regions of each view of each photo are those of eager torch, and the blocks compute
    the regions from the maps."""
    blocks = backbone.blocks()
    for name in names:
        for number in range(store.views):
            photo = view(open_photo(photos / name), number, name)
            expected = backbone(
                torch.from_numpy(Preprocessing(backbone.size).pixels(photo).copy())[None]
            )
            rows = np.array([store.rows[name]])
            found = store.read(rows, np.array([number]))
            np.testing.assert_allclose(found.maps, expected.maps.numpy(), rtol=2e-3, atol=2e-3)
            again = blocks(torch.from_numpy(found.maps))
            np.testing.assert_allclose(again.regions, found.regions, rtol=1e-2, atol=1e-2)
            np.testing.assert_allclose(again.context, found.context, rtol=1e-2, atol=1e-2)


def test_input_of_trainable_layers_is_extracted(tmp_path: Path) -> None:
    names = write_photos(tmp_path / "photos", 11)
    (tmp_path / "photos" / names[2]).write_bytes(b"")
    for count, shape in ((1, [8, 8, 8]), (2, [6, 8, 8])):
        backbone = ConvBackbone(count)
        store = extract(backbone, tmp_path / "photos", names, tmp_path / f"{count}", views=3)
        assert store.manifest.trainable_layers == count and store.manifest.map_shape == shape
        assert np.load(tmp_path / f"{count}" / "maps.npy").shape == (11, 3, *shape)
        assert_maps(store, backbone, tmp_path / "photos", [n for n in names if n != names[2]])
        assert not store.maps[2].any()
    frozen = extract(ConvBackbone(0), tmp_path / "photos", names, tmp_path / "0", views=3)
    assert frozen.maps is None and not (tmp_path / "0" / "maps.npy").exists()
    np.testing.assert_allclose(frozen.regions, store.regions, rtol=1e-3, atol=1e-3)


def test_a_photo_that_was_skipped_gets_its_maps_later(tmp_path: Path) -> None:
    names = write_photos(tmp_path / "photos", 11)
    backbone, photos = ConvBackbone(2), tmp_path / "photos"
    extract(backbone, photos, names, tmp_path / "whole", views=3)
    kept = (photos / names[2]).read_bytes()
    (photos / names[2]).write_bytes(b"")
    extract(backbone, photos, names, tmp_path / "store", views=3)
    (photos / names[2]).write_bytes(kept)
    extract(backbone, photos, names, tmp_path / "store", views=3)
    assert_same_store(tmp_path / "store", tmp_path / "whole")


def test_an_interrupted_extraction_with_maps_goes_on_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hgan.vision.extract.FLUSH_EVERY", 4)
    names = write_photos(tmp_path / "photos", 11)
    backbone, whole, cut = ConvBackbone(2), tmp_path / "whole", tmp_path / "cut"
    extract(backbone, tmp_path / "photos", names, whole, views=2)

    write, calls = FeatureWriter.write, []

    def interrupted(self: FeatureWriter, *values: object) -> None:
        calls.append(values)
        if len(calls) == 3:
            raise KeyboardInterrupt
        write(self, *values)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(FeatureWriter, "write", interrupted)
        extract(backbone, tmp_path / "photos", names, cut, views=2)
    assert read_manifest(cut).rows_done == 8
    with pytest.raises(DataError, match="stopped at 8 of 11"):
        FeatureStore(cut, trainable_layers=2)

    extract(backbone, tmp_path / "photos", names, cut, views=2)
    for name in ("regions.npy", "context.npy", "maps.npy", "manifest.json"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes()


def test_a_store_for_other_trainable_layers_is_left_alone(tmp_path: Path) -> None:
    names = write_photos(tmp_path / "photos", 2)
    extract(ConvBackbone(1), tmp_path / "photos", names, tmp_path / "store")
    before = (tmp_path / "store" / "maps.npy").read_bytes()
    for other in (0, 2):
        with pytest.raises(DataError, match="other trainable_layers"):
            extract(ConvBackbone(other), tmp_path / "photos", names, tmp_path / "store")
    assert (tmp_path / "store" / "maps.npy").read_bytes() == before


@pytest.mark.slow
def test_maps_of_efficientnet_lite(tmp_path: Path) -> None:
    names = write_photos(tmp_path / "photos", 3)
    backbone = load_backbone("efficientnet-lite2", grid=2, size=96, trainable_layers=5).eval()
    store = extract(backbone, tmp_path / "photos", names, tmp_path / "store", views=2)
    assert_maps(store, backbone, tmp_path / "photos", names)


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
