"""Save a model and load it again: safetensors, JSON and a card; nothing is ever unpickled."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import ModelHubMixin
from safetensors.torch import load_model, save_model
from tokenizers import Tokenizer

from hgan.config import ModelConfig, TextConfig, VisionConfig
from hgan.errors import DataError, HganError
from hgan.files import jsonable, replace_folder, write_json
from hgan.model.build import build_matcher
from hgan.model.card import model_card
from hgan.model.matcher import Matcher
from hgan.text.build import build_encoder, load_encoder

FORMAT_VERSION = 1


class TrainedModel(ModelHubMixin):
    """A trained matcher with all that goes with it: what a checkpoint holds and the hub carries.

    `save_pretrained(folder)`, `TrainedModel.from_pretrained(folder or name)`, `push_to_hub(name)`.

    Attributes:
        network: the matcher.
        tokenizer: of its text encoder.
        vision: the backbone whose features it reads.
        text: its text encoder's settings.
        boxes: (R, 4), the regions it was trained on, where all photos have the same.
        facts: how it was trained and what it reached, for the model card.
    """

    def __init__(
        self,
        network: Matcher,
        tokenizer: Tokenizer,
        vision: VisionConfig,
        text: TextConfig,
        boxes: np.ndarray | None,
        facts: dict[str, Any] | None = None,
    ) -> None:
        self.network = network
        self.tokenizer = tokenizer
        self.vision = vision
        self.text = text
        self.boxes = boxes
        self.facts = facts or {}

    @classmethod
    def create(
        cls,
        model: ModelConfig,
        vision: VisionConfig,
        text: TextConfig,
        image_width: int,
        boxes: np.ndarray | None,
        texts: Sequence[str] = (),
    ) -> "TrainedModel":
        """A new model: pretrained text encoder, everything else at random.

        Args:
            texts: training captions, for an encoder that makes its vocabulary of them.
        """
        encoder, tokenizer = load_encoder(text, texts)
        return cls(build_matcher(model, image_width, encoder), tokenizer, vision, text, boxes)

    def save_pretrained(
        self, save_directory: str | Path, *, push_to_hub: bool = False, **options: Any
    ) -> str | None:
        """Write the model so that a kill leaves the old folder or the new one, complete.

        Other files in the folder are kept.

        Args:
            save_directory: made if absent.
            push_to_hub: also upload it, as `push_to_hub(name, ...)`.
            options: of the upload; `repo_id` is by default the folder's name.

        Returns:
            The address of the upload's commit, if there was one.

        Raises:
            OSError: the disk is full or the folder cannot be written; it is left as it was.
        """
        folder = Path(save_directory)
        replace_folder(folder, self._save_pretrained)
        if not push_to_hub:
            return None
        name = options.pop("repo_id", None) or folder.name
        return self.push_to_hub(name, **options)

    def _save_pretrained(self, save_directory: Path) -> None:
        save_model(self.network, str(save_directory / "model.safetensors"))
        self.tokenizer.save(str(save_directory / "tokenizer.json"))
        write_json(
            save_directory / "config.json",
            {
                "format_version": FORMAT_VERSION,
                "model": asdict(self.network.config),
                "vision": asdict(self.vision),
                "text": jsonable(asdict(self.text)),
                "image_width": self.network.image_width,
                "boxes": None if self.boxes is None else self.boxes.tolist(),
                "encoder": self.network.text.describe(),
                "facts": self.facts,
            },
        )
        card = model_card(self.network, self.vision, self.text, self.facts)
        (save_directory / "README.md").write_text(card, encoding="utf-8")

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        **_: Any,
    ) -> "TrainedModel":
        folder = Path(model_id)
        if not folder.is_dir():
            from huggingface_hub import snapshot_download

            folder = Path(
                snapshot_download(
                    model_id,
                    revision=revision,
                    cache_dir=cache_dir,
                    force_download=force_download,
                    local_files_only=local_files_only,
                    token=token,
                    allow_patterns=["*.json", "*.safetensors", "README.md"],
                )
            )
        return _load(folder)


def load_checkpoint(folder: Path) -> TrainedModel:
    """A model from a local folder.

    Raises:
        DataError: the folder holds no model, a damaged one, or one of a newer format.
    """
    if not (folder / "config.json").is_file():
        raise DataError(f"{folder}: no model here (config.json is missing); a run keeps its best "
                        "in `runs/NAME/best`")
    return _load(folder)


def _load(folder: Path) -> TrainedModel:
    try:
        values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if values["format_version"] > FORMAT_VERSION:
            raise DataError(f"{folder}: made by a newer version of hgan; upgrade to read it")
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        network = build_matcher(
            ModelConfig(**values["model"]),
            values["image_width"],
            build_encoder(values["encoder"], tokenizer),
        )
        load_model(network, str(folder / "model.safetensors"), strict=True)
        network.eval()
        boxes = values["boxes"]
        return TrainedModel(
            network,
            tokenizer,
            VisionConfig(**values["vision"]),
            TextConfig(**values["text"]),
            None if boxes is None else np.asarray(boxes, dtype=np.float32),
            values["facts"],
        )
    except HganError:
        raise
    except Exception as error:  # a damaged tokenizer file is a bare Exception
        raise DataError(f"{folder}: damaged or incomplete model ({error})") from error
