"""The runtime half runs without torch installed, and starts without modules it does not need."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.fixtures.photos import COLOURS, save_photo
from tests.fixtures.tiny_bundle import write_tiny_bundle

TRAINING = ("torch", "transformers", "accelerate", "matplotlib", "safetensors", "onnx", "scipy")


def run(code: str, *arguments: object) -> str:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_module_imports_the_training_half():
    # Caption files are read by both halves: to train from, and to index.
    imported = run(
        """
        import importlib, pkgutil, sys
        import hgan, hgan.runtime, hgan.sources, hgan.index, hgan.search, hgan.render
        import hgan.serve, hgan.client
        packages = hgan.runtime, hgan.sources, hgan.index, hgan.search, hgan.render, hgan.serve
        for package in packages:
            for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
                importlib.import_module(module.name)
        for name in hgan._RUNTIME:
            getattr(hgan, name)
        print(*sys.modules)
        """
    ).split()
    expected = {"hgan.runtime.bundle", "hgan.index.store.edge", "hgan.render.contact_sheet"}
    assert expected <= set(imported)
    assert not set(TRAINING) & set(imported)
    training_half = {"data", "vision", "text", "model", "training", "evaluation", "baselines"}
    assert not [
        name
        for name in imported
        if name.split(".")[1:2]
        and name.startswith("hgan.")
        and name.split(".")[1] in training_half
        and not (name == "hgan.data" or name.startswith("hgan.data.captions"))
    ]


def test_importing_hgan_imports_nothing():
    imported = run(
        """
        import sys
        before = set(sys.modules)
        import hgan
        print(hgan.__version__, *(set(sys.modules) - before))
        """
    ).split()
    assert not {"numpy", "PIL", "onnxruntime", "tokenizers", "qdrant_edge", "rich"} & set(imported)


@pytest.mark.slow
def test_index_and_search_where_torch_cannot_be_imported(tmp_path: Path):
    bundle = write_tiny_bundle(tmp_path / "bundle")
    for name, colour in COLOURS.items():
        save_photo(tmp_path / "photos" / f"{name}.png", colour)
    best = run(
        f"""
        import sys
        for name in {TRAINING!r}:
            sys.modules[name] = None
        from pathlib import Path
        import hgan
        from hgan.render.contact_sheet import contact_sheet
        photos, to, bundle = map(Path, sys.argv[1:])
        hgan.index_folder(photos, to, bundle)
        with hgan.open_index(to) as index:
            hits = index.search("a green photo", k=3)
            contact_sheet(hits, to / "sheet.png", "a green photo")
            print(hits[0].path.name, index.search_image(photos / "red.png")[0].path.name)
        """,
        tmp_path / "photos",
        tmp_path / "index",
        bundle,
    )
    assert best.split() == ["green.png", "red.png"]
    assert (tmp_path / "index" / "sheet.png").is_file()
