"""Priors: a similarity of photos and texts that needs no training, and that HGAN starts from.

There are two sources of one. A dual encoder, such as CLIP, gives photos and texts embeddings that
can be compared. Otherwise there are class names: a backbone that was trained to recognise classes
knows what many things look like, and a sentence encoder knows what the classes are called. Together
they place photos and texts in one space: ConSE (Norouzi et al., *Zero-Shot Learning by Convex
Combination of Semantic Embeddings*, ICLR 2014).

    photo or region:  p = sum_k softmax(logits / temperature)_k (E_k - mean E)
    text or word:     u = unit(state) - mean E

where E_k is the sentence encoder's embedding of the name of class k. Both are projected to the
principal components of the class embeddings. Shapes: C classes, P components.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from hgan.chunks import chunks
from hgan.data.batches.tokens import pad, tokenise
from hgan.data.batches.types import ImageBatch
from hgan.errors import ConfigError
from hgan.text.encoder import TextEncoder, TokenStates
from hgan.vision.backbone import Classifier

TEMPERATURE = 0.7
"""Temperature of the softmax over classes; below 1, fewer classes contribute."""
TEMPLATE = "a photo of a {}"
"""Sentence around the name of a class."""
MAX_WORDS, BATCH = 64, 128
"""Tokens of a sentence, and sentences in a batch."""


class Known(NamedTuple):
    """What a prior knows of B photos or texts."""

    rows: Tensor | None
    """(B, n, P) positions of regions or words; None if the prior knows only the whole"""
    whole: Tensor
    """(B, P) positions of photos or texts; not of unit length"""


class Prior(nn.Module, ABC):
    """Places photos and texts in one space before anything is learned.

    Attributes:
        width: P, width of a position.
        is_base: whether what is learned is added to the position of a photo or text, in the same
            space; otherwise it is put beside it.
    """

    width: int
    is_base: bool

    @abstractmethod
    def of_photos(self, batch: ImageBatch) -> Known:
        """The positions of photos, and of their regions."""

    @abstractmethod
    def of_texts(self, token: TokenStates, mask: Tensor) -> Known:
        """The positions of texts, and of their words; mask (T, W) is that of the tokens."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """The source and the sizes as JSON values, for `empty_prior`."""


class EmbeddingPrior(Prior):
    """The embeddings of a dual encoder, which are the contexts of features and texts.

    Attributes:
        temperature: temperature of the softmax that the dual encoder was trained with, if known.
    """

    is_base = True

    def __init__(self, width: int, temperature: float | None = None) -> None:
        super().__init__()
        self.width, self.temperature = width, temperature

    def of_photos(self, batch: ImageBatch) -> Known:
        """The embeddings of photos, by the frozen backbone."""
        return Known(None, batch.pretrained[1])

    def of_texts(self, token: TokenStates, mask: Tensor) -> Known:
        """The embeddings of texts, by the text tower as it is trained."""
        return Known(None, token.context)

    def describe(self) -> dict[str, Any]:
        """The source and the width."""
        return {"source": "dual_encoder", "width": self.width}


class SemanticPrior(Prior):
    """Places features of photos and states of texts in the space of class names.

    The buffers are constants: they are not trained, and a checkpoint contains them.
    """

    is_base = False
    weight: Tensor  # (C, D_v)
    bias: Tensor  # (C)
    classes: Tensor  # (C, P)
    mean: Tensor  # (D_t)
    basis: Tensor  # (D_t, P)

    def __init__(self, classes: int, image_width: int, text_width: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("weight", torch.zeros(classes, image_width))
        self.register_buffer("bias", torch.zeros(classes))
        self.register_buffer("classes", torch.zeros(classes, width))
        self.register_buffer("mean", torch.zeros(text_width))
        self.register_buffer("basis", torch.zeros(text_width, width))

    def of_photos(self, batch: ImageBatch) -> Known:
        """The positions of photos and regions, by the frozen backbone."""
        regions, context = batch.pretrained
        return Known(self.image(regions), self.image(context))

    def of_texts(self, token: TokenStates, mask: Tensor) -> Known:
        """The positions of texts and words, by the pretrained text encoder."""
        assert token.pretrained is not None
        real = mask[..., None].to(token.pretrained.dtype)
        whole = (token.pretrained * real).sum(1) / real.sum(1).clamp_min(1)  # (T, D_t)
        return Known(self.text(token.pretrained), self.text(whole))

    def describe(self) -> dict[str, Any]:
        """The sizes; there is no source, as in older checkpoints."""
        (classes, image_width), (text_width, width) = self.weight.shape, self.basis.shape
        return dict(classes=classes, image_width=image_width, text_width=text_width, width=width)

    @torch.no_grad()
    def image(self, features: Tensor) -> Tensor:
        """Positions (..., P) of features (..., D_v) of photos or regions; not of unit length."""
        logits = F.linear(features, self.weight, self.bias).float()  # (..., C)
        return (logits / TEMPERATURE).softmax(-1) @ self.classes

    @torch.no_grad()
    def text(self, states: Tensor) -> Tensor:
        """Positions (..., P) of states (..., D_t) of texts or words; not of unit length."""
        return (F.normalize(states.float(), dim=-1) - self.mean) @ self.basis


def empty_prior(description: dict[str, Any]) -> Prior:
    """A prior without values from the result of `describe`, to load a checkpoint."""
    sizes = dict(description)
    if sizes.pop("source", "classes") == "dual_encoder":
        return EmbeddingPrior(**sizes)
    return SemanticPrior(**sizes)


def build_prior(
    classifier: Classifier, encoder: TextEncoder, tokenizer: Tokenizer, width: int
) -> SemanticPrior:
    """Make the prior of a backbone's classifier and a pretrained text encoder.

    Args:
        classifier: the classifier and the names of its classes; commas separate several names of a
            class, of which the first is used.
        encoder: the pretrained text encoder.
        tokenizer: its tokenizer.
        width: number P of components.

    Raises:
        ConfigError: the classifier has another number of classes than names, or fewer than P.
    """
    classes, image_width = classifier.weight.shape
    if len(classifier.names) != classes:
        raise ConfigError(
            f"model.prior: the classifier has {classes} classes, but {len(classifier.names)} names"
        )
    if min(classes, encoder.width) < width:
        raise ConfigError(
            f"model.prior_width: {width}, but {classes} classes in a sentence space of "
            f"{encoder.width} dimensions have at most {min(classes, encoder.width)} components"
        )
    sentences = [TEMPLATE.format(name.split(",")[0]) for name in classifier.names]
    embeddings = sentence_embeddings(encoder, tokenizer, sentences)  # (C, D_t)
    mean = embeddings.mean(0)
    centred = embeddings - mean
    basis = torch.linalg.svd(centred, full_matrices=False)[2][:width].T  # (D_t, P)
    prior = SemanticPrior(classes, image_width, encoder.width, width)
    values = dict(
        weight=classifier.weight, bias=classifier.bias, classes=centred @ basis, mean=mean,
        basis=basis,
    )  # fmt: skip
    prior.load_state_dict(values)
    return prior


def sentence_embeddings(encoder: TextEncoder, tokenizer: Tokenizer, texts: Sequence[str]) -> Tensor:
    """Embeddings (T, D_t) of unit length: means of the pretrained encoder's token states."""
    found = []
    for batch in chunks(tokenise(tokenizer, texts, MAX_WORDS), BATCH):
        tokens = pad(batch)
        states = encoder.pretrained_states(tokens.ids, tokens.mask, None)
        weight = tokens.mask[..., None].to(states.dtype)
        found.append(F.normalize((states * weight).sum(1) / weight.sum(1), dim=-1))
    return torch.cat(found)
