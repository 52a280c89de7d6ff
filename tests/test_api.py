"""The public API: what `hgan` exports, which models it loads, and indexes and services."""

import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import hgan
from hgan.errors import BundleError, ConfigError, DataError, IndexingError
from hgan.search.finder import Finder
from tests.fixtures.tiny_bundle import write_tiny_bundle

# --- names


def test_every_name_is_there_and_listed() -> None:
    for name in hgan.__all__:
        assert getattr(hgan, name) is not None
        assert name in dir(hgan)
    assert {"load", "similarity", "explain", "HGAN", "Client", "train"} <= set(dir(hgan))
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        hgan.lod  # type: ignore[attr-defined]  # noqa: B018


def test_type_checkers_see_the_names_that_are_imported() -> None:
    source = Path(hgan.__file__).read_text(encoding="utf-8")
    for name in set(hgan.__all__) - {"__version__"}:
        home = (hgan._RUNTIME | hgan._TRAINING)[name]
        assert f"    from {home} import {name} as {name}\n" in source


def test_without_torch_training_names_say_what_to_install() -> None:
    code = """
        import sys
        sys.modules["torch"] = None
        import hgan
        for name in ("HGAN", "train"):
            try:
                getattr(hgan, name)
            except hgan.HganError as error:
                print(error)
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all("torch is not installed: pip install 'hgan[train]'" in line for line in lines)


# --- loading


def test_load_the_shipped_bundle_and_a_folder(tmp_path: Path) -> None:
    shipped = hgan.load()
    assert isinstance(shipped, hgan.Bundle)
    assert hgan.load(shipped) is shipped
    assert shipped.levels == ("context", "shared", "local")
    folder = write_tiny_bundle(tmp_path / "tiny")
    for source in (folder, str(folder)):
        assert hgan.load(source).name == "tiny"
    assert "tiny" in repr(hgan.load(folder))


def test_load_a_checkpoint(checkpoint_and_bundle: tuple[Path, Path]) -> None:
    model = hgan.load(str(checkpoint_and_bundle[0]))
    assert isinstance(model, hgan.HGAN)
    assert model.id == hgan.HGAN.from_pretrained(checkpoint_and_bundle[0]).id
    with pytest.raises(DataError, match=r"use hgan\.load"):
        hgan.HGAN.from_pretrained(checkpoint_and_bundle[1])


def test_save_and_load_again(checkpoint_and_bundle: tuple[Path, Path], tmp_path: Path) -> None:
    model = hgan.HGAN.from_pretrained(checkpoint_and_bundle[0])
    model.to("cpu").save_pretrained(tmp_path / "copy")
    assert hgan.HGAN.from_pretrained(tmp_path / "copy").id == model.id


def test_what_is_not_a_model(tmp_path: Path, photos: Path, bundle: hgan.Bundle) -> None:
    hgan.index_folder(photos, tmp_path / "index", bundle)
    run = tmp_path / "runs/mine/seed1/best"
    run.mkdir(parents=True)
    (run / "model.safetensors").touch()
    for source, message in (
        (tmp_path / "nowhere", "no such folder"),
        ("nowhere", "no such folder"),
        (photos, "no model here: neither image.onnx"),
        (photos / "red 0.png", "is a file"),
        (tmp_path / "index", r"open it with hgan\.open_index"),
        (tmp_path / "runs", "seed1/best"),
        (3, "not int"),
    ):
        with pytest.raises(DataError, match=message):
            hgan.load(source)  # type: ignore[arg-type]


@pytest.mark.parametrize("load", [hgan.load, hgan.HGAN.from_pretrained])
@pytest.mark.parametrize("name", ["someone/a-model", "hf-hub:someone/a-model"])
def test_the_hub_without_a_network(load, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    start = time.perf_counter()
    with pytest.raises(DataError, match=r"someone/a-model: no such folder here.*cannot be reached"):
        load(name)
    assert time.perf_counter() - start < 1


def test_the_hub_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ConfigError, match="pip install"):
        hgan.load("someone/a-model")


def test_a_model_on_the_hub(
    checkpoint_and_bundle: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the hub's cache holds is found without a network, in the hub's own layout."""
    import huggingface_hub.constants

    for kind, folder in zip(("checkpoint", "bundle"), checkpoint_and_bundle, strict=True):
        place = tmp_path / f"models--someone--{kind}"
        (place / "refs").mkdir(parents=True)
        (place / "refs/main").write_text("0" * 40)
        (place / "snapshots").mkdir()
        (place / "snapshots" / ("0" * 40)).symlink_to(folder)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert isinstance(hgan.load("someone/bundle"), hgan.Bundle)
    assert isinstance(hgan.load("hf-hub:someone/checkpoint"), hgan.HGAN)
    with pytest.raises(DataError, match="cannot be reached"):
        hgan.load("someone/else")


# --- indexing with a model


def test_a_loaded_model_indexes_and_searches(tmp_path: Path, photos: Path) -> None:
    folder = write_tiny_bundle(tmp_path / "tiny")
    bundle = hgan.load(folder)
    assert isinstance(bundle, hgan.Bundle)
    hgan.index_folder(photos, tmp_path / "index", bundle)
    with hgan.open_index(tmp_path / "index", str(folder)) as index:
        assert isinstance(index, Finder)
        assert index.search("red", 1)[0].path.name.startswith("red")


def test_a_checkpoint_cannot_index(
    tmp_path: Path, photos: Path, checkpoint_and_bundle: tuple[Path, Path]
) -> None:
    with pytest.raises(ConfigError, match="hgan export"):
        hgan.index_folder(photos, tmp_path / "index", hgan.load(checkpoint_and_bundle[0]))  # type: ignore[arg-type]


# --- searching, here and in a service


def test_index_and_client_have_the_same_methods() -> None:
    import inspect

    for name in ("find", "find_many", "search", "search_image"):
        assert getattr(hgan.Index, name) is getattr(hgan.Client, name)
    for name in ("explain", "__len__", "close"):
        one, other = (inspect.signature(getattr(c, name)) for c in (hgan.Index, hgan.Client))
        assert one == other


def test_index_explains_its_photos(tmp_path: Path, photos: Path, bundle: hgan.Bundle) -> None:
    hgan.index_folder(photos, tmp_path / "index", bundle)
    with hgan.open_index(tmp_path / "index", bundle) as index:
        [hit] = index.search("red", 1, where="folder=red")
        expected = bundle.explain(Path(hit.path), "a red dog").as_dict()
        for name in (hit.id, str(hit.path), hit.path.relative_to(photos).as_posix()):
            assert index.explain(name, "a red dog").as_dict() == expected
        with pytest.raises(DataError, match="not in this index"):
            index.explain("nowhere.png", "red")
        Path(hit.path).unlink()
        with pytest.raises(DataError, match="no such file"):
            index.explain(hit.id, "red")
        with pytest.raises(DataError, match="search_image"):
            index.search(Path("a.jpg"))  # type: ignore[arg-type]
        with pytest.raises(DataError, match="use find for one"):
            index.find_many(hgan.Query("red"))  # type: ignore[arg-type]
        with pytest.raises(DataError, match="not str"):
            index.find("red")  # type: ignore[arg-type]


def test_a_service_that_is_not_there() -> None:
    with pytest.raises(IndexingError, match="does not answer"):
        hgan.Client("http://127.0.0.1:9").search("red")


def test_a_damaged_bundle(tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path / "tiny")
    (folder / "text.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match=r"text\.onnx"):
        hgan.load(folder).encode_text("red")
