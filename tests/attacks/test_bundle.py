"""Bundles whose configuration or model was edited: each is refused when it is opened."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import hgan.runtime.bundle
from hgan.errors import BundleError
from hgan.files import sha256
from hgan.runtime.bundle import MAX_CONFIG, Bundle
from hgan.runtime.onnx_file import has_external_data
from tests.fixtures.tiny_bundle import SIZE, WEIGHTS, edit_config, write_tiny_bundle

WIDTHS = {"context": 16, "slots": 2, "slot": 6, "local": 8}
FILES = dict.fromkeys(("image.onnx", "text.onnx", "tokenizer.json"), "0" * 64)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_bundle(tmp_path / "bundle")


@pytest.mark.parametrize(
    "change",
    [
        {"weights": WEIGHTS | {"local": float("nan")}},
        {"weights": WEIGHTS | {"local": float("inf")}},
        {"weights": WEIGHTS | {"context": True, "shared": 0, "local": 0}},
        {"weights": WEIGHTS | {"context": "0.5"}},
        {"weights": [0.5, 0.3, 0.2]},
        {"widths": WIDTHS | {"context": 99_999}},
        {"widths": WIDTHS | {"slots": 60_000, "slot": 60_000}},
        {"widths": WIDTHS | {"local": 8.0}},
        {"widths": WIDTHS | {"local": -8}},
        {"weights": WEIGHTS | {"local": 10**400}},
        {"boxes": [[0, 0, 1, -(10**400)]]},
        {"max_words": 1e12},
        {"max_words": 10**12},
        {"max_words": True},
        {"size": 10**9},
        {"size": 0},
        {"grid": float("nan")},
        {"boxes": []},
        {"boxes": [[0, 0, 1, float("nan")]]},
        {"boxes": [[0, 0, 1, 1e300]]},
        {"boxes": [[0, 0, 1, "1"]]},
        {"boxes": {"0": [0, 0, 1, 1]}},
        {"files": FILES | {"image.onnx": "../../etc/passwd"}},
        {"files": FILES | {"image.onnx": 5}},
        {"files": FILES | {"../x": "0" * 64}},
        {"name": 5},
        {"name": ""},
        {"format_version": 0},
        {"format_version": float("nan")},
    ],
    ids=str,
)
def test_edited_configuration(folder: Path, change: dict[str, Any]) -> None:
    edit_config(folder, **change)
    with pytest.raises(BundleError, match=r"config\.json: not the configuration of a bundle"):
        Bundle.load(folder)


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b"9" * 10_000, b" " * (MAX_CONFIG + 1)], ids=["deep", "long", "big"]
)
def test_configuration_that_is_hard_to_read(folder: Path, content: bytes) -> None:
    (folder / "config.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"config\.json: not the configuration of a bundle"):
        Bundle.load(folder)


def test_external_data(folder: Path) -> None:
    """The numbers of the weights are in another file, which has no checksum."""
    file = folder / "image.onnx"
    model = onnx.load(file)
    onnx.save(model, file, save_as_external_data=True, location="secret.bin", size_threshold=0)
    assert (folder / "secret.bin").stat().st_size > 0
    _sign(folder)
    with pytest.raises(BundleError, match=r"image\.onnx: some of its numbers are in another file"):
        Bundle.load(folder)


def test_external_data_of_a_tensor_inside_a_graph_inside_a_node(tmp_path: Path) -> None:
    for wrong in (False, True):
        tensor = TensorProto(data_type=TensorProto.FLOAT, dims=[1], name="w")
        tensor.raw_data = b"\0" * 4
        if wrong:
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="/etc/passwd")
        constant = helper.make_node("Constant", [], ["c"], value=tensor)
        output = helper.make_tensor_value_info("c", TensorProto.FLOAT, [1])
        branch = helper.make_graph([constant], "branch", [], [output])
        node = helper.make_node("If", ["x"], ["c"], then_branch=branch, else_branch=branch)
        condition = helper.make_tensor_value_info("x", TensorProto.BOOL, [])
        graph = helper.make_graph([node], "graph", [condition], [output])
        (tmp_path / "m.onnx").write_bytes(helper.make_model(graph).SerializeToString())
        assert has_external_data(tmp_path / "m.onnx") is wrong


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 40, b"\x3a\xff\xff\xff\x7f", b"\x38\x01", b"\x0b"]
)
def test_files_that_are_not_messages(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ValueError):
        has_external_data(tmp_path / "m.onnx")


def test_files_are_verified_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    def counted(path: Path) -> str:
        read.append(path.name)
        return sha256(path)

    monkeypatch.setattr(hgan.runtime.bundle, "sha256", counted)
    bundle = Bundle.load(folder)
    assert sorted(read) == ["image.onnx", "text.onnx", "tokenizer.json"]
    bundle.encode_texts(["red"])
    bundle.encode_images([np.zeros((SIZE, SIZE, 3), np.uint8)])
    assert len(read) == 3


def _sign(folder: Path) -> None:
    """Write the checksums of the files as they are now."""
    files = json.loads((folder / "config.json").read_text())["files"]
    edit_config(folder, files={name: sha256(folder / name) for name in files})
