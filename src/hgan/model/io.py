"""Save and load models as safetensors, JSON and a model card; pickle is not used."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from huggingface_hub import ModelHubMixin
from safetensors import SafetensorError
from safetensors.torch import load_model, save_model
from tokenizers import Tokenizer

from hgan.config import OLD_KEYS, TextConfig, VisionConfig
from hgan.errors import ConfigError, DataError, HganError
from hgan.files import (
    check_checksums,
    jsonable,
    parse_json,
    replace_folder,
    write_checksums,
    write_json,
)
from hgan.model.baselines.baseline import BaselineConfig
from hgan.model.card import model_card
from hgan.model.hgan import HGANConfig
from hgan.model.matcher import MATCHERS, Matcher, MatcherConfig
from hgan.model.matchers import build_matcher, matcher_config
from hgan.model.prior import EmbeddingPrior, Prior, SemanticPrior, build_prior, empty_prior
from hgan.progress import console
from hgan.text.build import build_encoder, is_pretrained, load_encoder
from hgan.text.dual_encoder import DualTextEncoder
from hgan.text.encoder import TextEncoder
from hgan.vision.backbone import Blocks, Classifier
from hgan.vision.load import backbone_of, has_classifier

FORMAT_VERSION = 3
"""Version 1 stored the settings of all matchers in one section, version 2 has neither a prior nor
trained layers of the backbone; both can still be loaded."""

CONFIG, TOKENIZER, WEIGHTS = "config.json", "tokenizer.json", "model.safetensors"

_REMEDY = "copy the checkpoint again, or train it again"


class TrainedModel(ModelHubMixin):
    """A trained matcher with its tokenizer and settings: the content of a checkpoint.

    It has the methods `save_pretrained(folder)`, `TrainedModel.from_pretrained(folder or name)` and
    `push_to_hub(name)`.

    Attributes:
        network: the matcher.
        tokenizer: the tokenizer of its text encoder.
        vision: settings of the backbone whose features it reads.
        text: settings of its text encoder.
        boxes: (R, 4) the boxes of the regions, if they are the same for all photos; otherwise None.
        facts: how it was trained, and its results, for the model card.
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
        model: MatcherConfig,
        vision: VisionConfig,
        text: TextConfig,
        image_width: int,
        boxes: np.ndarray | None,
        texts: Sequence[str] = (),
        context_width: int = 0,
    ) -> "TrainedModel":
        """Create a model with a pretrained text encoder and otherwise random weights.

        If the prior that the settings ask for cannot be made of this backbone and text encoder, the
        model has none, and a line on the console says why.

        Args:
            texts: training captions, for an encoder that builds its vocabulary from them.
            context_width: width of the photos' contexts, if they are embeddings of a dual encoder.

        Raises:
            ConfigError: the backbone or the text encoder cannot be loaded, or do not fit the
                settings or each other.
        """
        classifier, blocks = _from_backbone(model, vision, text)
        encoder, tokenizer = load_encoder(text, texts, keep_pretrained=classifier is not None)
        prior: Prior | None = None
        if isinstance(model, HGANConfig) and model.prior == "dual_encoder":
            prior = _embedding_prior(vision, text, encoder, context_width)
        elif _has_prior(model):
            if classifier is None:
                model = replace(model, prior="none")
            else:
                prior = build_prior(classifier, encoder, tokenizer, model.prior_width)
        network = build_matcher(model, image_width, encoder, prior, blocks, context_width)
        return cls(network, tokenizer, vision, text, boxes)

    def save_pretrained(
        self, save_directory: str | Path, *, push_to_hub: bool = False, **options: Any
    ) -> str | None:
        """Save the model. If the process is killed, the folder has its old or its new content.

        Other files in the folder are kept.

        Args:
            save_directory: is created if it does not exist.
            push_to_hub: also upload the model, as `push_to_hub(name, ...)` does.
            options: options of the upload; `repo_id` is the name of the folder by default.

        Returns:
            The URL of the upload's commit; None without an upload.

        Raises:
            OSError: the disk is full or the folder cannot be written; it is not changed.
        """
        folder = Path(save_directory)
        replace_folder(folder, self._save_pretrained)
        if not push_to_hub:
            return None
        name = options.pop("repo_id", None) or folder.name
        return self.push_to_hub(name, **options)

    def _save_pretrained(self, save_directory: Path) -> None:
        with writing_tensors(save_directory / WEIGHTS):
            save_model(self.network, str(save_directory / WEIGHTS))
        prior: Prior | None = getattr(self.network, "prior", None)
        (save_directory / TOKENIZER).write_text(self.tokenizer.to_str(True), encoding="utf-8")
        write_json(
            save_directory / CONFIG,
            {
                "format_version": FORMAT_VERSION,
                "model": asdict(self.network.config),
                "vision": asdict(self.vision),
                "text": jsonable(asdict(self.text)),
                "image_width": self.network.image_width,
                "context_width": getattr(self.network, "context_width", 0),
                "prior": None if prior is None else prior.describe(),
                "boxes": None if self.boxes is None else self.boxes.tolist(),
                "encoder": self.network.text.describe(),
                "facts": self.facts,
            },
        )
        card = model_card(self.network, self.vision, self.text, self.facts)
        (save_directory / "README.md").write_text(card, encoding="utf-8")
        # Without the model card, which people edit.
        write_checksums(save_directory, (CONFIG, TOKENIZER, WEIGHTS))

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


def _has_prior(model: MatcherConfig) -> TypeGuard[HGANConfig | BaselineConfig]:
    """Whether the settings of a matcher ask for a prior of class names."""
    return isinstance(model, HGANConfig | BaselineConfig) and model.prior == "classes"


def _embedding_prior(
    vision: VisionConfig, text: TextConfig, encoder: TextEncoder, context_width: int
) -> EmbeddingPrior:
    """The prior of a dual encoder; raises `ConfigError` if the settings name none, or two."""
    if not vision.dual_encoder:
        raise ConfigError(
            "model.prior: dual_encoder needs the embeddings of photos; set vision.dual_encoder to "
            "true, and extract the features again"
        )
    if text.encoder != vision.backbone or not isinstance(encoder, DualTextEncoder):
        raise ConfigError(
            f"model.prior: dual_encoder needs both towers of one model, but vision.backbone is "
            f"{vision.backbone} and text.encoder {text.encoder}; set text.encoder to "
            f"{vision.backbone}"
        )
    if encoder.context_width != context_width:
        raise ConfigError(
            f"model.prior: the features have embeddings of {context_width} numbers, but those of "
            f"texts by {text.encoder} have {encoder.context_width}; was the model in this place "
            "changed? Extract the features again, into another folder (data.features)"
        )
    return EmbeddingPrior(context_width, encoder.temperature)


def _from_backbone(
    model: MatcherConfig, vision: VisionConfig, text: TextConfig
) -> tuple[Classifier | None, Blocks | None]:
    """The classifier for the prior and the layers to train, if the settings ask for them. If there
    can be no prior, a line on the console says why."""
    classifier: Classifier | None = None
    blocks: Blocks | None = None
    wanted, pretrained = _has_prior(model), is_pretrained(text)
    possible = wanted and pretrained and has_classifier(vision.backbone)
    if possible or vision.trains:  # otherwise no backbone is needed, or even installed
        backbone = backbone_of(vision)
        classifier = backbone.classifier() if possible else None
        blocks = backbone.blocks() if vision.trains else None
    if blocks is not None:
        blocks.checkpointing = vision.gradient_checkpointing
    if wanted and classifier is None:
        reason = (
            f"{vision.backbone} has no classifier with a name for each class"
            if pretrained
            else f"the text encoder {text.encoder} is not pretrained"
        )
        console.print(f"model.prior: {reason}, so the model has no prior", markup=False)
    return classifier, blocks


def checkpoint_of(folder: Path) -> Path:
    """The folder itself, or the best checkpoint in it if it is the folder of a run, `RUN/seedN`.

    Raises:
        DataError: it contains several runs, or settings without a model.
    """
    if (folder / "model.safetensors").exists():
        return folder
    best = folder / "best"
    if (best / "model.safetensors").is_file():
        return best
    if runs := sorted(path.parents[1] for path in folder.glob("*/best/model.safetensors")):
        raise DataError(
            f"{folder}: contains {len(runs)} runs, not a checkpoint; name one of "
            f"{', '.join(map(str, runs))}"
        )
    if (folder / "config.json").is_file():
        raise DataError(
            f"{folder}: no checkpoint here (neither model.safetensors nor a folder best); a run "
            "has one after its first epoch"
        )
    return folder


def load_checkpoint(folder: Path) -> TrainedModel:
    """Load a model from a local folder.

    Raises:
        DataError: the folder contains no model, its files are damaged, its format is newer, or its
            matcher is not registered.
    """
    if not (folder / CONFIG).is_file():
        raise DataError(
            f"{folder}: no model here (config.json is missing); the best checkpoint of "
            "a run is in `runs/NAME/best`"
        )
    return _load(folder)


def _load(folder: Path) -> TrainedModel:
    check_checksums(folder, _REMEDY)
    file = folder / CONFIG  # the one that is being read
    try:
        values = parse_json(file.read_text(encoding="utf-8"))
        if values["format_version"] > FORMAT_VERSION:
            raise DataError(f"{folder}: created by a newer version of hgan; upgrade hgan")
        file = folder / TOKENIZER
        tokenizer = Tokenizer.from_file(str(file))
        file = folder / CONFIG
        seen = {OLD_KEYS.get(key, key): value for key, value in values["vision"].items()}
        vision, text = VisionConfig(**seen), TextConfig(**values["text"])
        encoder = build_encoder(values["encoder"], tokenizer)
        prior = None if values.get("prior") is None else empty_prior(values["prior"])
        if isinstance(prior, SemanticPrior):
            encoder.freeze(text.trainable_layers)
            encoder.keep_pretrained(text.trainable_layers)
        network = build_matcher(
            _matcher_config(folder, values),
            values["image_width"],
            encoder,
            prior,
            backbone_of(vision).blocks() if vision.trains else None,
            values.get("context_width", 0),
        )
        file = folder / WEIGHTS
        load_model(network, str(file), strict=True)
        network.eval()
        file, boxes = folder / CONFIG, values["boxes"]
        return TrainedModel(
            network,
            tokenizer,
            vision,
            text,
            None if boxes is None else np.asarray(boxes, dtype=np.float32),
            values["facts"],
        )
    except HganError:
        raise
    except Exception as error:  # tokenizers raises a plain Exception for a damaged file
        raise DataError(f"{file}: damaged or incomplete model ({error}); {_REMEDY}") from error


@contextmanager
def writing_tensors(file: Path) -> Iterator[None]:
    """Raise `OSError`, as other writers do, if safetensors cannot write a file."""
    try:
        yield
    except SafetensorError as error:
        if (code := re.search(r"os error (\d+)", str(error))) is None:
            raise
        raise OSError(int(code[1]), os.strerror(int(code[1])), str(file)) from error


def _matcher_config(folder: Path, values: dict[str, Any]) -> MatcherConfig:
    model: dict[str, Any] = values["model"]
    if (name := model["name"]) not in MATCHERS:
        raise DataError(
            f"{folder}: its matcher {name!r} is not registered (only {', '.join(MATCHERS)} are); "
            "name the file that defines it with --plugin FILE.py"
        )
    if values["format_version"] == 1:
        model = {key: value for key, value in model.items() if key in MATCHERS.keys(name)}
    return matcher_config(model)
