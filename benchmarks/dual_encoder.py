"""Compare bundles of dual encoders with `transformers`, and their cost with that of HGAN.

    python benchmarks/dual_encoder.py
    python benchmarks/dual_encoder.py --photos ~/Pictures --count 50

No weights are downloaded: the models are real classes of `transformers` with random weights, since
neither rounding nor time depends on what a model has learned.

- Parity: a small model of each supported class encodes photos and captions, as bundle and by
  `transformers`; the largest difference of two cosines, at most 1e-4, over all pairs of a photo and
  a caption. Photos are reduced to a seventh, since these models read 32 pixels where CLIP reads
  224, and larger photos are shrunk before they are resized (docs/models.md).
- Cost: a CLIP of the size of ViT-B/32 and the shipped bundle take turns in indexing the photos, and
  in encoding one caption after another; medians, and their ratio.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import transformers as hf
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

sys.path.insert(0, str(Path(__file__).parent.parent))  # the tests' random models

import hgan
from hgan.export.model import export_model
from hgan.hub import HubModel
from hgan.index.indexer import index_folder
from hgan.runtime.bundle import Bundle
from tests.fixtures.dual_encoders import MODELS, clip_tokenizer, own_features, write_dual_encoder

MOST = 1e-4
"""Target: largest difference of two cosines."""
REDUCED = 7
"""What the photos are reduced by for small models."""
TOKENS = 14
"""Tokens of a caption for the cost: the tokenizer of the small model would make more of it than
CLIP's own, whose mean over Flickr8k's captions this is."""
ROUNDS = 3
"""Turns of each model; medians are printed."""


def main() -> int:
    """Print both tables; return 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = Path(os.environ.get("HGAN_DATA", "data")) / "flickr8k"
    parser.add_argument("--photos", type=Path, default=data / "images", help="folder of photos")
    parser.add_argument("--captions", type=Path, default=data / "captions.jsonl", help="JSON Lines")
    parser.add_argument("--count", type=int, default=100, help="number of photos and captions")
    chosen = parser.parse_args()
    paths = sorted(chosen.photos.glob("*.jpg"))[: chosen.count]
    with chosen.captions.open(encoding="utf-8") as file:
        texts = [json.loads(line)["captions"][0] for line, _ in zip(file, paths, strict=False)]
    if not paths:
        sys.exit(f"{chosen.photos}: no photos here; set HGAN_DATA, or use --photos FOLDER")
    print(f"{len(paths)} photos, {len(texts)} captions; transformers {hf.__version__}\n")
    with tempfile.TemporaryDirectory() as scratch:
        met = parity(paths, texts, Path(scratch))
        cost(paths, texts, Path(scratch))
    return 0 if met else 1


def parity(paths: Sequence[Path], texts: list[str], scratch: Path) -> bool:
    """Print the largest difference of the cosines of each class; whether all are small enough."""
    photos = [Image.open(path).convert("RGB").reduce(REDUCED) for path in paths]
    worst = 0.0
    print(f"{'class':16}{'spread of cosines':>20}{'largest difference':>20}")
    for name in MODELS:
        folder = scratch / name
        write_dual_encoder(name, folder)
        bundle = Bundle.load(export_model(HubModel.find(folder), scratch / f"{name} bundle"))
        images, sentences = own_features(folder, photos, texts)
        expected = images @ sentences.T
        found = hgan.similarity(bundle.encode_image(photos), bundle.encode_text(texts))
        difference = float(np.abs(found - expected).max())
        worst = max(worst, difference)
        print(f"{name:16}{expected.std():20.3f}{difference:20.1e}")
    print(f"at most {MOST:g}: {worst <= MOST}\n")
    return worst <= MOST


def cost(paths: Sequence[Path], texts: Sequence[str], scratch: Path) -> None:
    """Print the time of indexing and of a caption by both models, and the size of both."""
    _write_vit_b32(scratch / "vit-b32")
    exported = export_model(HubModel.find(scratch / "vit-b32"), scratch / "vit-b32 bundle")
    large = Bundle.load(exported)
    models = {"ViT-B/32": large, "shipped": Bundle.load()}
    folder = scratch / "photos"
    folder.mkdir()
    for path in paths:
        (folder / path.name).symlink_to(path.resolve())
    print(f"{'':24}" + "".join(f"{name:>12}" for name in models) + f"{'ratio':>10}")

    def index(model: Bundle, turn: int) -> None:
        index_folder(folder, scratch / f"{model.id}.{turn}", model)

    def query(model: Bundle, turn: int) -> None:
        model.encode_texts([texts[turn % len(texts)]])

    _row("photos per second", [len(paths) / s for s in _medians(models, index, ROUNDS)])
    _row("ms per caption", [1e3 * s for s in _medians(models, query, len(texts))])
    sizes = [
        sum(file.stat().st_size for file in model.folder.iterdir()) / 1e6
        for model in models.values()
    ]
    _row("MB on disk", sizes)


def _write_vit_b32(folder: Path) -> None:
    """A CLIP of the size of openai/clip-vit-base-patch32, with random weights."""
    tokenizer = clip_tokenizer()
    tokenizer.model_max_length = TOKENS
    config = hf.CLIPConfig()  # that size is the default
    config.text_config.bos_token_id = tokenizer.bos_token_id
    config.text_config.eos_token_id = tokenizer.eos_token_id
    config.text_config.pad_token_id = tokenizer.pad_token_id
    tokenizer.save_pretrained(folder)
    CLIPImageProcessorPil().save_pretrained(folder)
    hf.CLIPModel(config).save_pretrained(folder)


def _medians(
    models: dict[str, Bundle], work: Callable[[Bundle, int], None], turns: int
) -> list[float]:
    """The median seconds of each model, which take turns; the first turn is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(turns + 1):
        for name, model in models.items():
            start = time.perf_counter()
            work(model, turn)
            seconds[name].append(time.perf_counter() - start)
    return [float(np.median(taken[1:])) for taken in seconds.values()]


def _row(name: str, values: Sequence[float]) -> None:
    print(f"{name:24}" + "".join(f"{v:12.1f}" for v in values) + f"{values[0] / values[1]:10.2f}")


if __name__ == "__main__":
    sys.exit(main())
