"""Networks and inputs of a few numbers, for the tests of the model."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from hgan.config import ModelConfig
from hgan.data.batching import ImageBatch
from hgan.data.tokens import TextBatch
from hgan.encoded import Encoded
from hgan.model.hgan import HGAN
from hgan.text.transformer import TransformerEncoder

PAD, CLS, SEP, MASK = 0, 2, 3, 4
VOCABULARY, WIDTH = 40, 12
SMALL = ModelConfig(
    width=20, node_width=16, graph_layers=2, slots=3, slot_width=8, local_width=10, dropout=0.3
)


def text_encoder(layers: int = 2) -> TransformerEncoder:
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=24,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.2,
    )
    config._attn_implementation = "eager"
    return TransformerEncoder(BertModel(config, add_pooling_layer=False), [PAD, CLS, SEP], MASK)


def network(**changes: Any) -> HGAN:
    """An HGAN whose paths that start at zero are open, as after training: nothing hides."""
    torch.manual_seed(2)
    made = HGAN(replace(SMALL, **changes), WIDTH, text_encoder())
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if not name.startswith("text.") and parameter.abs().max() == 0:
                nn.init.normal_(parameter, std=0.3)
    return made.eval()


def photos(count: int = 4, regions: int = 5, seed: int = 0) -> ImageBatch:
    """Photos with boxes of their own; the mask leaves out a region here and there."""
    dice = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, regions, 2, 2, generator=dice).sort(dim=2).values
    mask = torch.rand(count, regions, generator=dice) < 0.7
    mask[:, 1] = True
    return ImageBatch(
        regions=torch.randn(count, regions, WIDTH, generator=dice),
        context=torch.randn(count, WIDTH, generator=dice),
        mask=mask,
        boxes=corners.flatten(2),
    )


def captions(lengths: tuple[int, ...] = (3, 6, 4), seed: int = 0) -> TextBatch:
    """Captions of so many words, [CLS] and [SEP] around them."""
    dice = torch.Generator().manual_seed(seed)
    longest = max(lengths) + 2
    ids = torch.full((len(lengths), longest), PAD)
    for row, length in zip(ids, lengths, strict=True):
        words = torch.randint(5, VOCABULARY, (length,), generator=dice)
        row[: length + 2] = torch.cat([torch.tensor([CLS]), words, torch.tensor([SEP])])
    return TextBatch(ids, (ids != PAD).long())


def encoded(
    count: int, rows: int, seed: int = 0, full: bool = False, width: int = 6
) -> Encoded[Tensor]:
    """Random unit rows; masks that are no prefixes, some of them empty."""
    dice = torch.Generator().manual_seed(seed)

    def units(*shape: int) -> Tensor:
        return nn.functional.normalize(torch.randn(*shape, generator=dice), dim=-1)

    mask = torch.rand(count, rows, generator=dice) < 0.6
    if full:
        mask[:, 0] = True
    local = units(count, rows, width) * mask[..., None]
    return Encoded(units(count, 7), units(count, 2, 4), local, mask)


def assert_equal(one: Encoded[Tensor], other: Encoded[Tensor], tolerance: float = 1e-5) -> None:
    """Both say the same, the local rows under the mask compared in order."""
    for name in ("context", "slots"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), atol=tolerance, rtol=0)
    torch.testing.assert_close(one.local[one.mask], other.local[other.mask], atol=tolerance, rtol=0)
    assert torch.equal(one.mask.sum(1), other.mask.sum(1))
