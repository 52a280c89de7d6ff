"""Write a bundle: its ONNX networks, tokenizer, model card and configuration."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn

from hgan.errors import ConfigError
from hgan.export.compact import compact
from hgan.files import replace_folder, sha256, write_json
from hgan.runtime.bundle import Bundle
from hgan.runtime.bundle_config import FORMAT_VERSION
from hgan.runtime.patches import PatchGrid
from hgan.runtime.preprocessing import Preprocessing
from hgan.runtime.tokens import TextReader
from hgan.vision.onnx_export import export_onnx

LARGE = 18 * 10**8
"""Bytes of weights from which on they are in a file of their own; an ONNX file has at most 2 GB."""
TOLERANCE = 1e-3
"""Largest difference of a vector's entry to that of the network in torch."""
_EXAMPLES = ["a photo of a dog", "two cats"]


@dataclass(frozen=True)
class PatchParts:
    """The part of a bundle that gives vectors of patches, for explanations.

    It is a network of its own, which continues where the image tower is nearly done: in one network
    with the tower, ONNX Runtime would compute the patches of every photo that is indexed.
    """

    network: nn.Module
    """From the image tower's states (N, T, W) to vectors of patches (N, P, D) of length one."""
    grid: PatchGrid


@dataclass(frozen=True)
class BundleParts:
    """The content of a bundle, see `hgan.runtime.bundle_config.BundleConfig`."""

    name: str
    image: nn.Module
    """From photos (N, size, size, 3) uint8 to context (N, D), slots (N, K, D_s) and local
    (N, R, D_l); with `patches` also to states (N, T, W)."""
    text: nn.Module
    """From ids and mask (N, W) int64 to context (N, D), slots (N, K, D_s), local (N, W, D_l) and
    local_mask (N, W)."""
    tokenizer: Tokenizer
    card: str
    """The model card, in Markdown."""
    preprocessing: Preprocessing
    max_words: int
    weights: dict[str, float]
    widths: dict[str, int]
    grid: int = 1
    boxes: list[list[float]] = field(default_factory=lambda: [[0.0, 0.0, 1.0, 1.0]])
    languages: tuple[str, ...] = ()
    logits: dict[str, float] | None = None
    patches: PatchParts | None = None


def write_bundle(parts: BundleParts, folder: Path, compact_weights: bool = False) -> None:
    """Write a bundle. If the process is killed, the folder contains the old or the new one.

    Args:
        parts: the content.
        folder: folder of the bundle; it is created, or replaced if it exists.
        compact_weights: store weights as int8 and float16; computation is in float32.

    Raises:
        ConfigError: the exported networks do not give what the networks in torch give.
    """

    def write(new: Path) -> None:
        _export_networks(parts, new)
        if compact_weights:
            for path in sorted(new.glob("*.onnx")):
                compact(path)
        parts.tokenizer.save(str(new / "tokenizer.json"))
        (new / "README.md").write_text(parts.card, encoding="utf-8")
        _write_config(parts, new)
        if not compact_weights:
            _check(parts, Bundle.load(new))

    replace_folder(folder, write)


@torch.no_grad()
def _export_networks(parts: BundleParts, folder: Path) -> None:
    pixels = torch.from_numpy(np.stack([parts.preprocessing.blank()] * 2))
    export_onnx(
        parts.image,
        {"pixels": pixels},
        {"pixels": ("batch",)},
        ["context", "slots", "local", *(["states"] if parts.patches else [])],
        folder / "image.onnx",
        _is_large(parts.image),
    )
    if parts.patches is not None:
        export_onnx(
            parts.patches.network,
            {"states": parts.image(pixels)[3]},
            {"states": ("batch",)},
            ["patches"],
            folder / "patches.onnx",
        )
    reader = TextReader(Tokenizer.from_str(parts.tokenizer.to_str()), parts.max_words)
    ids, mask = map(torch.from_numpy, reader.ids(_EXAMPLES))
    export_onnx(
        parts.text,
        {"ids": ids, "mask": mask},
        {"ids": ("batch", "words"), "mask": ("batch", "words")},
        ["context", "slots", "local", "local_mask"],
        folder / "text.onnx",
        _is_large(parts.text),
    )


@torch.no_grad()
def _check(parts: BundleParts, bundle: Bundle) -> None:
    """Compare the exported networks with the originals: not all that torch does can be exported."""
    photo = np.random.default_rng(0).integers(0, 256, parts.preprocessing.blank().shape, np.uint8)
    tokens = map(torch.from_numpy, bundle.ids(_EXAMPLES))
    encoded, patches = bundle.encode_with_patches(photo)
    image = parts.image(torch.from_numpy(photo)[None])
    pairs = [
        ("photos", encoded.context, image[0]),
        ("texts", bundle.encode_texts(_EXAMPLES).context, parts.text(*tokens)[0]),
    ]
    if parts.patches is not None:
        assert patches is not None
        pairs.append(("patches", patches[None], parts.patches.network(image[3])))
    for name, found, expected in pairs:
        difference = np.abs(found - expected.numpy()).max(initial=0.0)
        if not difference <= TOLERANCE:
            raise ConfigError(
                f"{parts.name}: the exported network encodes {name} differently from the original, "
                f"by up to {difference:.2g}; this model cannot be exported with these versions of "
                "torch and transformers"
            )


def _is_large(network: nn.Module) -> bool:
    return sum(weight.numel() * weight.element_size() for weight in network.parameters()) > LARGE


def _write_config(parts: BundleParts, folder: Path) -> None:
    preprocessing = asdict(parts.preprocessing)
    files = [*sorted(path.name for path in folder.glob("*.onnx*")), "tokenizer.json"]
    optional = {} if parts.patches is None else {"patches": asdict(parts.patches.grid)}
    write_json(
        folder / "config.json",
        {
            "format_version": FORMAT_VERSION,
            "name": parts.name,
            "languages": list(parts.languages),
            "size": preprocessing.pop("size"),
            "preprocessing": preprocessing,
            "grid": parts.grid,
            "boxes": parts.boxes,
            "max_words": parts.max_words,
            "weights": parts.weights,
            "widths": parts.widths,
            "logits": parts.logits,
            **optional,
            "files": {name: sha256(folder / name) for name in files},
        },
    )
