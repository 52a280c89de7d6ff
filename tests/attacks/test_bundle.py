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
from hgan.runtime.onnx_file import external_files
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


def _move_weights(folder: Path, location: str = "image.onnx.data") -> None:
    """Move the weights of the image tower to another file, as an export of a large model does."""
    model = onnx.load(folder / "image.onnx")
    onnx.save(
        model,
        folder / "image.onnx",
        save_as_external_data=True,
        location=location,
        size_threshold=100,  # shapes stay, which ONNX Runtime has to know
    )


def test_weights_in_a_file_with_a_checksum(folder: Path) -> None:
    photo = [np.full((SIZE, SIZE, 3), 200, np.uint8)]
    expected = Bundle.load(folder).encode_images(photo)
    _move_weights(folder)
    _sign(folder, "image.onnx.data")
    found = Bundle.load(folder).encode_images(photo)
    np.testing.assert_array_equal(found.context, expected.context)
    data = bytearray((folder / "image.onnx.data").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "image.onnx.data").write_bytes(data)
    with pytest.raises(BundleError, match=r"image\.onnx\.data: damaged"):
        Bundle.load(folder)
    (folder / "image.onnx.data").unlink()
    with pytest.raises(BundleError, match=r"image\.onnx\.data: is missing"):
        Bundle.load(folder)


@pytest.mark.parametrize("location", ["text.onnx.data", "../image.onnx.data", "/etc/passwd", ""])
def test_weights_in_the_file_of_another_network(folder: Path, location: str) -> None:
    """Even if a file of the right name is there, with its checksum."""
    _move_weights(folder)
    model = onnx.load(folder / "image.onnx", load_external_data=False)
    for weight in model.graph.initializer:
        for entry in weight.external_data:
            if entry.key == "location":
                entry.value = location
    onnx.save(model, folder / "image.onnx")
    (folder / "text.onnx.data").write_bytes((folder / "image.onnx.data").read_bytes())
    _sign(folder, "image.onnx.data", "text.onnx.data")
    with pytest.raises(BundleError, match=r"image\.onnx: some of its numbers are in another file"):
        Bundle.load(folder)


@pytest.mark.parametrize("keys", [("location", "location"), ("offset", "location"), ()])
def test_entries_that_could_be_read_in_two_ways(tmp_path: Path, keys: tuple[str, ...]) -> None:
    """Of a field that is there twice, readers may take the first or the last."""
    entry = b"".join(b"\x0a" + bytes([len(key)]) + key.encode() for key in keys) + b"\x12\x01x"
    tensor = b"\x6a" + bytes([len(entry)]) + entry  # field 13, external_data
    graph = b"\x2a" + bytes([len(tensor)]) + tensor  # field 5, initializer
    (tmp_path / "m.onnx").write_bytes(b"\x3a" + bytes([len(graph)]) + graph)
    with pytest.raises(ValueError, match="not a key with a value"):
        external_files(tmp_path / "m.onnx")


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
        assert external_files(tmp_path / "m.onnx") == ({"/etc/passwd"} if wrong else set())


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 40, b"\x3a\xff\xff\xff\x7f", b"\x38\x01", b"\x0b"]
)
def test_files_that_are_not_messages(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ValueError):
        external_files(tmp_path / "m.onnx")


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


def _sign(folder: Path, *more: str) -> None:
    """Write the checksums of the files as they are now, and of more files."""
    files = json.loads((folder / "config.json").read_text())["files"]
    edit_config(folder, files={name: sha256(folder / name) for name in (*files, *more)})
