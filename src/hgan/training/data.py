"""What a run reads: the features of its photos, the captions to train and to validate on, and what
is computed from them before the first epoch."""

import sys
from collections.abc import Sequence

import torch

from hgan.data.batches.augmentation import Augmenter
from hgan.data.batches.dataset import Dataset
from hgan.data.batches.tokens import further_pieces
from hgan.data.captions.read import read_captions
from hgan.data.captions.types import Captions
from hgan.data.features.types import Features
from hgan.model.io import TrainedModel
from hgan.processes import Processes
from hgan.terminal import print_visible
from hgan.training.config import Config
from hgan.training.mosaics import check_mosaics
from hgan.vision.features import features_of
from hgan.vision.source import open_mosaics, open_training


def run_features(config: Config, captions: Captions, processes: Processes) -> Features:
    """The features of the photos, whatever they are read from; says which have none.

    Raises:
        DataError: photos or features are missing or damaged.
        ConfigError: the features were extracted with other settings.
    """
    has_prior = getattr(config.model, "prior", "none") != "none"
    with processes.one_of_machine_first():  # which extracts what is missing
        store = open_training(config.data, config.vision, captions, has_prior, config.optim.colour)
    for name, reason in store.skipped.items():
        print_visible(f"skipped {name}: {reason}", file=sys.stderr)
    return store


def run_datasets(
    config: Config, captions: Captions, store: Features, model: TrainedModel
) -> tuple[Dataset, list[Dataset]]:
    """The data to train on, and the validation sets: one, or a second one of other photos.

    Args:
        config: settings of the run.
        captions: those of the photos with features.
        store: the features.
        model: the model in training, for its tokenizer.

    Raises:
        DataError: a split has no photos, or the second validation set is missing or damaged.
    """
    limit = config.text.max_words
    train = Dataset(captions.split("train"), store, model.tokenizer, limit)
    val = [Dataset(captions.split("val"), store, model.tokenizer, limit)]
    if config.data.open_captions is not None and config.data.open_features is not None:
        other = read_captions(config.data.open_captions).split("val")
        features = features_of(config.vision, config.data.open_features)
        val.append(Dataset(other, features, model.tokenizer, limit))
    return train, val


def run_augmenter(config: Config, model: TrainedModel) -> Augmenter:
    """The augmentation of training batches."""
    text = model.network.text
    return Augmenter(
        region_drop=config.optim.region_drop,
        word_drop=config.optim.word_drop,
        mask_id=text.mask_id,
        special_ids=text.special_ids.cpu(),
        vocabulary=model.tokenizer.get_vocab_size(),
        continues=further_pieces(model.tokenizer) if config.optim.whole_words else None,
    )


def cache_states(
    config: Config,
    train: Dataset,
    val: Sequence[Dataset],
    model: TrainedModel,
    processes: Processes,
    device: torch.device,
) -> None:
    """Compute what stays the same in training.

    Validation must give the same results as evaluation, which has no cache: its states are exact,
    and on a GPU, which would compute other ones than the CPU, they are not cached.
    """
    text = model.network.text
    with processes.one_of_machine_first():
        train.cache_frozen_states(text)
        if device.type == "cpu":
            for data in val:
                data.cache_frozen_states(text, torch.float32)
        if getattr(config.loss, "soft_temperature", 0):
            train.embed_sentences(text)


def add_mosaics(config: Config, data: Dataset, processes: Processes) -> None:
    """Add mosaics of the photos to the data to train on.

    Raises:
        ConfigError: the model cannot be trained with mosaics, see `check_mosaics`.
    """
    check_mosaics(data.store.boxes, config.optim.batch_images)
    with processes.one_of_machine_first():
        data.mosaics = open_mosaics(config.data, config.vision, data.captions, data.store)
