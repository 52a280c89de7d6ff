"""A checkpoint that torch runs, with the methods and results of a bundle.

It does not need an export, runs on any device, and can be trained further: `network` is the torch
module.
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self, overload

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

import hgan.model.hgan as networks
from hgan.chunks import chunks
from hgan.data.batches.types import TextBatch
from hgan.encoded import LEVELS, Encoded
from hgan.errors import ConfigError, DataError
from hgan.hub import PREFIX, download, hub_name
from hgan.model.io import TrainedModel, load_checkpoint
from hgan.model.matcher import Matcher
from hgan.model.photos import backbone_for, encode_photos
from hgan.runtime.embeddings import Embeddings, check_pair, concatenate
from hgan.runtime.inputs import texts_of
from hgan.runtime.model import IMAGE_BATCH, TEXT_BATCH, Model
from hgan.runtime.preprocessing import Preprocessing
from hgan.runtime.similarity import Scores
from hgan.runtime.tokens import TextReader
from hgan.vision.backbone import Backbone

PHOTOS_AT_ONCE, TEXTS_AT_ONCE = 32, 128
"""Number of photos and texts per tile, for networks that compare pairs themselves."""


class HGAN(Model):
    """A trained HGAN, or a trained baseline, loaded from a checkpoint."""

    def __init__(self, trained: TrainedModel) -> None:
        """Use `from_pretrained`, or wrap a model that has just been trained."""
        self.trained = trained

    @classmethod
    def from_pretrained(cls, name: str | Path, *, revision: str | None = None) -> Self:
        """Load a checkpoint.

        Args:
            name: folder of the checkpoint, such as `runs/flickr8k/seed1/best`, or a name on the
                Hugging Face hub, `organisation/model`.
            revision: branch, tag or commit of a model on the hub.

        Raises:
            DataError: there is no checkpoint, it is damaged, or the hub cannot be reached.
            ConfigError: huggingface_hub is not installed.
        """
        folder = Path(name)
        on_hub = hub_name(name) if isinstance(name, str) else None
        if on_hub is not None and (not folder.exists() or str(name).startswith(PREFIX)):
            folder = download(on_hub, revision)
        if not (folder / "model.safetensors").is_file():
            if (folder / "image.onnx").is_file():
                raise DataError(f"{name}: is a bundle for ONNX Runtime; use hgan.load")
            raise DataError(
                f"{name}: no checkpoint here (model.safetensors is missing); the best checkpoint "
                "of a run is in `runs/NAME/seed1/best`"
            )
        return cls(load_checkpoint(folder))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the checkpoint: safetensors, tokenizer, configuration and model card."""
        self.trained.save_pretrained(folder)

    def push_to_hub(self, name: str, **options: Any) -> Any:
        """Upload the checkpoint to the Hugging Face hub.

        Args:
            name: name on the hub, `organisation/model`.
            options: options of `huggingface_hub.ModelHubMixin.push_to_hub`.
        """
        return self.trained.push_to_hub(name, **options)

    def to(self, device: str | torch.device) -> Self:
        """Move the model to a device, such as "cuda"."""
        self.network.to(device)
        if "_backbone" in self.__dict__:
            self._backbone.to(device)
        return self

    @property
    def network(self) -> Matcher:
        """The torch module, without the vision backbone."""
        return self.trained.network

    @property
    def device(self) -> torch.device:
        """The device that the model runs on."""
        return next(self.network.parameters()).device

    @property
    def name(self) -> str:
        """Name of the method and of the vision backbone."""
        return f"{type(self.network).__name__.lower()}-{self.trained.vision.backbone}"

    @cached_property
    def id(self) -> str:
        """Short hash of the weights, computed at the first access."""
        digest = hashlib.sha256()
        for name, weight in self.network.state_dict().items():
            digest.update(name.encode())
            flat = weight.detach().cpu().contiguous().view(-1)
            digest.update(flat.view(torch.uint8).numpy().data)
        return digest.hexdigest()[:16]

    @property
    def size(self) -> int:
        """Side of the square photo that the backbone reads, in pixels.

        Raises:
            ConfigError: the model was trained on precomputed features, or the backbone is missing.
        """
        return self._backbone.size

    @property
    def preprocessing(self) -> Preprocessing:
        """How the model wants its photos."""
        return self._backbone.preprocessing

    @property
    def boxes(self) -> list[list[float]]:
        """(R, 4): each region's x0 y0 x1 y1 in 0..1; empty where they differ between photos."""
        boxes = self.trained.boxes
        return [] if boxes is None else boxes.tolist()

    @property
    def weights(self) -> dict[str, float] | None:
        """Weight of each level in S; None if the network compares pairs itself."""
        if not isinstance(self.network, networks.HGAN):
            return None
        weights = self.network.weights
        return {level: weights.get(level, 0.0) for level in LEVELS}

    @cached_property
    def widths(self) -> dict[str, int]:
        """`context` D, `slots` K, `slot` D_s and `local` D_l; zero for a missing level."""
        encoded = self.encode_texts(["a"])
        _, slots, slot = encoded.slots.shape
        context, local = encoded.context.shape[1], encoded.local.shape[2]
        return {"context": context, "slots": slots, "slot": slot, "local": local}

    @torch.inference_mode()
    def encode_images(
        self, pixels: Sequence[np.ndarray] | np.ndarray, batch_size: int = IMAGE_BATCH
    ) -> Encoded[np.ndarray]:
        """Encode decoded photos, each (size, size, 3) uint8; `encode_image` takes other inputs.

        Raises:
            DataError: a photo is not such an array, or there are none.
            ConfigError: the model cannot read photos.
        """
        for photo in pixels:
            self.preprocessing.check(photo)
        boxes = self.trained.boxes
        places = None if boxes is None else torch.from_numpy(boxes).to(self.device)
        parts = []
        for batch in chunks(pixels, batch_size):
            photos = torch.from_numpy(np.stack(list(batch))).to(self.device)
            parts.append(encode_photos(self._backbone, self.network, photos, places))
        return concatenate([_to_numpy(part) for part in parts])

    @torch.inference_mode()
    def encode_texts(
        self, texts: Sequence[str], batch_size: int = TEXT_BATCH
    ) -> Encoded[np.ndarray]:
        """Encode texts, at least one; see `encode_text`.

        Raises:
            DataError: a text is not a string, or contains no words.
        """
        parts = []
        for batch in chunks(texts_of(texts), batch_size):
            ids, mask = (torch.from_numpy(array) for array in self._reader.ids(batch))
            parts.append(self.network.encode_text(TextBatch(ids, mask).to(self.device)))
        return concatenate([_to_numpy(part) for part in parts])

    def words(self, text: str) -> list[tuple[int, int] | None]:
        """Start and end of each token's word in a text; see `Bundle.words`."""
        return self._reader.words(text)

    @overload
    def similarity(
        self, photos: Embeddings, texts: Embeddings, levels: Literal[False] = False
    ) -> np.ndarray: ...
    @overload
    def similarity(
        self, photos: Embeddings, texts: Embeddings, levels: Literal[True]
    ) -> Scores: ...

    def similarity(
        self, photos: Embeddings, texts: Embeddings, levels: bool = False
    ) -> np.ndarray | Scores:
        """The similarity S of every photo and every text, (photos, texts); see `hgan.similarity`.

        Raises:
            DataError: texts come before photos, or the two were encoded by different models.
        """
        check_pair(photos, texts)
        if self.weights is not None:
            scores = super().similarity(photos, texts, levels=True)
        elif (photos.kind, texts.kind) == ("photos", "texts"):
            scores = self._compare(photos, texts)
        else:
            raise DataError(
                f"{self.name} compares photos with texts, not {photos.kind} with {texts.kind}"
            )
        return scores if levels else scores.total

    @torch.inference_mode()
    def _compare(self, photos: Embeddings, texts: Embeddings) -> Scores:
        """Scores of a network that compares pairs itself, computed tile by tile."""
        weights = self.network.weights
        found = {name: np.zeros((len(photos), len(texts)), np.float32) for name in weights}
        for top in range(0, len(photos), PHOTOS_AT_ONCE):
            rows = slice(top, top + PHOTOS_AT_ONCE)
            images = self._to_torch(photos[rows])
            for left in range(0, len(texts), TEXTS_AT_ONCE):
                columns = slice(left, left + TEXTS_AT_ONCE)
                tiles = self.network.levels(images, self._to_torch(texts[columns]))
                for name, tile in tiles.items():
                    found[name][rows, columns] = tile.float().cpu().numpy()
        total = sum((weights[name] * scores for name, scores in found.items()), np.float32(0))
        return Scores(np.asarray(total, np.float32), found)

    def _to_torch(self, encoded: Encoded[np.ndarray]) -> Encoded[Tensor]:
        arrays = (encoded.context, encoded.slots, encoded.local, encoded.mask)
        return Encoded(*(torch.from_numpy(array).to(self.device) for array in arrays))

    @cached_property
    def _backbone(self) -> Backbone:
        vision = self.trained.vision
        if vision.backbone == "precomputed":
            raise ConfigError(
                f"{self.name}: was trained on precomputed features and has no vision backbone, so "
                "it cannot read photos; encode_text works"
            )
        return backbone_for(self.network, vision).eval().to(self.device)

    @cached_property
    def _reader(self) -> TextReader:
        copy = Tokenizer.from_str(self.trained.tokenizer.to_str())
        return TextReader(copy, self.trained.text.max_words)


def _to_numpy(encoded: Encoded[Tensor]) -> Encoded[np.ndarray]:
    return Encoded(
        encoded.context.float().cpu().numpy(),
        encoded.slots.float().cpu().numpy(),
        encoded.local.float().cpu().numpy(),
        encoded.mask.cpu().numpy(),
    )
