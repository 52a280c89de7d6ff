"""A bundle of a few kilobytes that is a real one: it runs, and it finds photos by their colour.

Photos and words meet in the three numbers of a colour, laid out in each level's space by a random
matrix; a little random texture beside it makes every photo different.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from hgan.files import sha256, write_json

SIZE, GRID, CELLS = 16, 2, 4
"""Photos of 16 x 16 pixels; 2 x 2 regions; 4 x 4 cells of colour make the context."""
MAX_WORDS = 12
WEIGHTS = {"context": 0.5, "shared": 0.3, "local": 0.2}
COLOURS = {
    "red": (1, -0.5, -0.5),
    "green": (-0.5, 1, -0.5),
    "blue": (-0.5, -0.5, 1),
    "white": (0.6, 0.6, 0.6),
    "black": (-0.6, -0.6, -0.6),
}
SPECIAL = ("[PAD]", "[CLS]", "[SEP]", "[UNK]")
WORDS = ("a", "photo", "of", "dog", "snow", "the", "in", "two", *"bcdefghijklmnopqrstuvwxyz")


def write_tiny_bundle(
    folder: Path, seed: int = 0, weights: dict[str, float] | None = None, context: int = 16
) -> Path:
    """Write the bundle; a level of weight zero has zero width."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = weights or WEIGHTS
    widths = {
        "context": context if weights["context"] else 0,
        "slots": 2 if weights["shared"] else 0,
        "slot": 6 if weights["shared"] else 0,
        "local": 8 if weights["local"] else 0,
    }
    dice = np.random.default_rng(seed)
    spaces = {
        "context": dice.normal(size=(3, widths["context"])),
        "slots": dice.normal(size=(3, widths["slots"] * widths["slot"])),
        "local": dice.normal(size=(3, widths["local"])),
    }
    tokenizer = _tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    onnx.save(_image(spaces, widths, dice), folder / "image.onnx")
    onnx.save(_text(spaces, widths, tokenizer, dice), folder / "text.onnx")
    (folder / "README.md").write_text("# A tiny bundle for tests\n")
    edges = [0.0, 0.5, 1.0]
    write_json(
        folder / "config.json",
        {
            "format_version": 1,
            "name": "tiny",
            "size": SIZE,
            "grid": GRID,
            "boxes": [
                [edges[x], edges[y], edges[x + 1], edges[y + 1]]
                for y in range(GRID)
                for x in range(GRID)
            ],
            "max_words": MAX_WORDS,
            "weights": weights,
            "widths": widths,
            "files": {
                name: sha256(folder / name)
                for name in ("image.onnx", "text.onnx", "tokenizer.json")
            },
        },
    )
    return folder


def edit_config(folder: Path, **values: object) -> None:
    """Change fields of a bundle's config.json."""
    file = folder / "config.json"
    write_json(file, json.loads(file.read_text()) | values)


def _tokenizer() -> Tokenizer:
    words = [*SPECIAL, *COLOURS, *WORDS, *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz")]
    tokenizer = Tokenizer(WordPiece({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer()
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(w, tokenizer.token_to_id(w)) for w in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def _image(
    spaces: dict[str, np.ndarray], widths: dict[str, int], dice: np.random.Generator
) -> onnx.ModelProto:
    cells, side = CELLS * CELLS, SIZE // CELLS
    graph = _Graph()
    graph.add("Cast", ["pixels"], "float", to=TensorProto.FLOAT)
    graph.add("Div", ["float", graph.constant(np.float32(127.5))], "scaled")
    graph.add("Sub", ["scaled", graph.constant(np.float32(1))], "colours")
    graph.add("Transpose", ["colours"], "planes", perm=[0, 3, 1, 2])
    pool = {"kernel_shape": [side, side], "strides": [side, side]}
    graph.add("AveragePool", ["planes"], "cells", **pool)  # (N, 3, 4, 4)
    graph.add("Flatten", ["cells"], "flat")  # (N, 48), plane by plane
    for level in ("context", "slots"):
        matrix = np.repeat(spaces[level], cells, axis=0) / cells
        matrix = matrix + 0.02 * dice.normal(size=matrix.shape)
        bias = 0.01 * dice.normal(size=matrix.shape[1])
        graph.linear("flat", matrix, bias, f"{level}_flat")
    region = {"kernel_shape": [CELLS // GRID] * 2, "strides": [CELLS // GRID] * 2}
    graph.add("AveragePool", ["cells"], "regions", **region)  # (N, 3, 2, 2)
    graph.add("Reshape", ["regions", graph.shape(0, 3, GRID * GRID)], "region_planes")
    graph.add("Transpose", ["region_planes"], "region_colours", perm=[0, 2, 1])
    bias = 0.01 * dice.normal(size=spaces["local"].shape[1])
    graph.linear("region_colours", spaces["local"], bias, "local_flat")
    graph.finish(widths)
    pixels = ("pixels", TensorProto.UINT8, ["N", SIZE, SIZE, 3])
    local = ("local", TensorProto.FLOAT, ["N", GRID * GRID, widths["local"]])
    return graph.model([pixels], [*_outputs(widths), local])


def _text(
    spaces: dict[str, np.ndarray],
    widths: dict[str, int],
    tokenizer: Tokenizer,
    dice: np.random.Generator,
) -> onnx.ModelProto:
    table = 0.1 * dice.normal(size=(tokenizer.get_vocab_size(), 3)).astype(np.float32)
    for word, colour in COLOURS.items():
        table[tokenizer.token_to_id(word)] = colour
    graph = _Graph()
    graph.add("Gather", [graph.constant(table), "ids"], "words")  # (N, W, 3)
    graph.add("Greater", ["ids", graph.constant(np.int64(2))], "not_special")
    graph.add("Cast", ["mask"], "attended", to=TensorProto.BOOL)
    graph.add("And", ["not_special", "attended"], "local_mask")
    graph.add("Cast", ["local_mask"], "real", to=TensorProto.FLOAT)
    graph.add("Unsqueeze", ["real", graph.shape(2)], "gate")  # (N, W, 1)
    graph.add("Mul", ["words", "gate"], "real_words")
    graph.add("ReduceSum", ["real_words", graph.shape(1)], "sentence", keepdims=0)
    for level in ("context", "slots"):
        bias = np.zeros(spaces[level].shape[1])
        graph.linear("sentence", spaces[level], bias, f"{level}_flat")
    graph.linear("words", spaces["local"], np.zeros(widths["local"]), "local_words")
    graph.add("LpNormalization", ["local_words"], "local_unit", axis=-1, p=2)
    graph.add("Mul", ["local_unit", "gate"], "local")
    graph.finish(widths, local=False)
    inputs = [(name, TensorProto.INT64, ["N", "W"]) for name in ("ids", "mask")]
    local = ("local", TensorProto.FLOAT, ["N", "W", widths["local"]])
    mask = ("local_mask", TensorProto.BOOL, ["N", "W"])
    return graph.model(inputs, [*_outputs(widths), local, mask])


def _outputs(widths: dict[str, int]) -> list[tuple[str, int, list[object]]]:
    return [
        ("context", TensorProto.FLOAT, ["N", widths["context"]]),
        ("slots", TensorProto.FLOAT, ["N", widths["slots"], widths["slot"]]),
    ]


class _Graph:
    """Nodes and constants of an ONNX graph under way."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, value: np.ndarray | np.generic) -> str:
        name = f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def shape(self, *sizes: int) -> str:
        return self.constant(np.array(sizes, np.int64))

    def add(self, operator: str, inputs: list[str], output: str, **attributes: object) -> None:
        self._nodes.append(helper.make_node(operator, inputs, [output], **attributes))

    def linear(self, source: str, matrix: np.ndarray, bias: np.ndarray, output: str) -> None:
        weights = self.constant(matrix.astype(np.float32))
        self.add("MatMul", [source, weights], f"{output}_product")
        bias_name = self.constant(bias.astype(np.float32))
        self.add("Add", [f"{output}_product", bias_name], output)

    def finish(self, widths: dict[str, int], local: bool = True) -> None:
        """Unit rows under the outputs' names."""
        self.add("LpNormalization", ["context_flat"], "context", axis=-1, p=2)
        if widths["slots"]:
            shape = self.shape(-1, widths["slots"], widths["slot"])
            self.add("Reshape", ["slots_flat", shape], "slots_rows")
        else:  # (N, 0) to (N, 0, 0)
            self.add("Unsqueeze", ["slots_flat", self.shape(2)], "slots_column")
            zero, last = self.shape(0), self.shape(2)
            self.add("Slice", ["slots_column", zero, zero, last], "slots_rows")
        self.add("LpNormalization", ["slots_rows"], "slots", axis=-1, p=2)
        if local:
            self.add("LpNormalization", ["local_flat"], "local", axis=-1, p=2)

    def model(
        self,
        inputs: list[tuple[str, int, list[object]]],
        outputs: list[tuple[str, int, list[object]]],
    ) -> onnx.ModelProto:
        graph = helper.make_graph(
            self._nodes,
            "tiny",
            [helper.make_tensor_value_info(*value) for value in inputs],
            [helper.make_tensor_value_info(*value) for value in outputs],
            self._constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        onnx.checker.check_model(model)
        return model


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    write_tiny_bundle(parser.parse_args().folder)
