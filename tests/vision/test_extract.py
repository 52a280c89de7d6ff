"""Extraction compared with a loop of eager torch, interrupted, resumed, and with bad photos."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as hf
from PIL import Image

from hgan.data.features.store import FeatureStore, read_manifest
from hgan.errors import DataError
from hgan.runtime.images import open_photo, to_pixels
from hgan.vision.backbone import Backbone, grid_boxes
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
        key = backbone.name, backbone.grid, backbone.size
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
            found = backbone(torch.from_numpy(to_pixels(photo, backbone.size).copy())[None])
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


def run_and_kill(arguments: list[str], writes: int) -> int:
    """Extract in another process, which kills itself after a write and before its flush."""
    script = f"""
import os, signal, sys
from pathlib import Path
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
    names = write_photos(photos, 9)
    (photos / names[0]).write_bytes(b"")
    (photos / names[4]).write_text("not a photo")
    (photos / names[8]).unlink()
    backbone = load_backbone(hub_model, grid=2)
    store = extract(backbone, photos, names, tmp_path / "store")
    assert set(store.manifest.skipped) == {names[0], names[4], names[8]}
    assert all(name in reason for name, reason in store.manifest.skipped.items())
    assert list(store.rows) == [names[i] for i in (1, 2, 3, 5, 6, 7)]
    good = list(store.rows)
    regions, _ = naive(backbone, photos, good, views=1)
    rows = [store.rows[name] for name in good]
    np.testing.assert_allclose(store.regions[rows], regions, rtol=1e-3, atol=1e-3)
    for i in (0, 4, 8):
        assert not store.regions[i].any()


def test_only_bad_photos(hub_model: str, tmp_path: Path) -> None:
    names = [f"{i}.jpg" for i in range(20)]
    store = extract(load_backbone(hub_model, grid=2), tmp_path, names, tmp_path / "store")
    assert len(store.manifest.skipped) == 20
    assert not store.rows


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
