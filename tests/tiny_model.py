"""A data set, feature store and text encoder so small that a real training run takes seconds.

A photo shows a colour, an animal and a place; each region's feature is the vector of one of the
three with some noise, and captions name them. What belongs together can be learned, and is.
"""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from hgan.config import Config, DataConfig, ModelConfig, OptimConfig, TextConfig, VisionConfig
from hgan.data.batching import Dataset
from hgan.data.captions import read_captions
from hgan.data.features import FeatureStore, FeatureWriter, Manifest
from hgan.model.io import TrainedModel

BACKBONE = "tiny"
WIDTH, VIEWS, GRID = 16, 2, 2
"""Of a feature; views of a photo; 2 x 2 regions."""
THINGS = (
    ("red", "blue", "green", "white"),
    ("dog", "cat", "horse", "bird"),
    ("snow", "water", "grass", "street"),
)
TEMPLATES = ("a {} {} in the {}", "the {} {} runs on the {}", "{} {} at a {}")
FILLERS = ("a", "the", "in", "on", "at", "runs")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def write_tiny_data(
    folder: Path, train: int = 32, val: int = 16, test: int = 12, seed: int = 0
) -> DataConfig:
    """Captions and a finished feature store; photo i has one to three captions, by turns."""
    dice = np.random.default_rng(seed)
    combinations = list(itertools.product(*THINGS))
    shown = [combinations[i] for i in dice.permutation(len(combinations))]
    splits = ["train"] * train + ["val"] * val + ["test"] * test
    ids = [f"{i:03}.jpg" for i in range(len(splits))]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "captions.jsonl").open("w", encoding="utf-8") as file:
        for i, (name, split) in enumerate(zip(ids, splits, strict=True)):
            texts = [template.format(*shown[i]) for template in TEMPLATES[: 3 - i % 3]]
            file.write(json.dumps({"image": name, "captions": texts, "split": split}) + "\n")
    vectors = {thing: dice.normal(size=WIDTH) for kind in THINGS for thing in kind}
    regions = np.empty((len(ids), VIEWS, GRID * GRID, WIDTH))
    for i in range(len(ids)):
        for view in range(VIEWS):
            kinds = dice.permutation([0, 1, 2, i % 3])  # which region shows what
            regions[i, view] = [vectors[shown[i][kind]] for kind in kinds]
    regions += 0.1 * dice.normal(size=regions.shape)
    cells = [i / GRID for i in range(GRID)]
    boxes = [[x, y, x + 1 / GRID, y + 1 / GRID] for y in cells for x in cells]
    manifest = Manifest(BACKBONE, 32, boxes, WIDTH, VIEWS, ids)
    with FeatureWriter(folder / "features", manifest) as writer:
        writer.write(regions, regions.mean(axis=2), {})
        writer.finish()
    return DataConfig(folder / "captions.jsonl", folder / "photos", folder / "features")


def tiny_tokenizer() -> Tokenizer:
    """WordPiece over the words of the captions, and letters for all others."""
    words = [*SPECIAL, *FILLERS, *itertools.chain(*THINGS), *LETTERS[1:]]
    vocabulary = {word: i for i, word in enumerate([*words, *(f"##{c}" for c in LETTERS)])}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    ends = [(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=ends
    )
    return tokenizer


def write_tiny_bert(folder: Path, layers: int = 2, width: int = 32, seed: int = 0) -> Path:
    """A randomly initialised BERT with its tokenizer, as Hugging Face saves them."""
    import torch

    tokenizer = tiny_tokenizer()
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=2 * width,
        max_position_embeddings=64,
        pad_token_id=0,
        initializer_range=0.2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        BertModel(config).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    ).save_pretrained(folder)
    return folder


def tiny_config(folder: Path, **sections: dict[str, Any]) -> Config:
    """A run on a tiny data set and encoder, both written into the folder where they are not there.

    Args:
        folder: for data, encoder and run.
        sections: changes by section, as `optim={"epochs": 2}`.
    """
    data = DataConfig(folder / "captions.jsonl", folder / "photos", folder / "features")
    if not data.captions.exists():
        write_tiny_data(folder)
    if not (folder / "bert").exists():
        write_tiny_bert(folder / "bert")
    config = Config(
        data=data,
        vision=VisionConfig(backbone=BACKBONE, size=32, grid=GRID, views=VIEWS),
        text=TextConfig(encoder=str(folder / "bert"), trainable_layers=1, max_words=16),
        model=ModelConfig(
            width=24, node_width=16, graph_layers=2, slots=2, slot_width=8, local_width=8
        ),
        optim=OptimConfig(
            epochs=2,
            batch_images=8,
            captions_per_image=2,
            learning_rate=5e-3,
            warmup_steps=2,
            ema=0.9,
            precision="no",
        ),
        run=folder / "run",
    )
    return replace(config, **{n: replace(getattr(config, n), **v) for n, v in sections.items()})


def tiny_model(config: Config, seed: int = 0) -> TrainedModel:
    """An untrained model for the data of a configuration."""
    import torch

    store = FeatureStore(config.data.features)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return TrainedModel.create(
            config.model, config.vision, config.text, store.width, store.boxes
        )


def tiny_dataset(config: Config, model: TrainedModel, split: str) -> Dataset:
    """One split of the data of a configuration."""
    captions = read_captions(config.data.captions).split(split)
    store = FeatureStore(config.data.features, config.vision.backbone)
    return Dataset(captions, store, model.tokenizer, config.text.max_words)
