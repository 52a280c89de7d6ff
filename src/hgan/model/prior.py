"""The semantic prior: a similarity of photos and texts that needs no training.

A backbone that was trained to recognise classes knows what many things look like, and a sentence
encoder knows what the classes are called. Together they place photos and texts in one space: ConSE
(Norouzi et al., *Zero-Shot Learning by Convex Combination of Semantic Embeddings*, ICLR 2014).

    photo or region:  p = sum_k softmax(logits / temperature)_k (E_k - mean E)
    text or word:     u = unit(state) - mean E

where E_k is the sentence encoder's embedding of the name of class k. Both are projected to the
principal components of the class embeddings. Shapes: C classes, P components.
"""

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from hgan.chunks import chunks
from hgan.data.batches.tokens import pad, tokenise
from hgan.errors import ConfigError
from hgan.text.encoder import TextEncoder
from hgan.vision.backbone import Classifier

TEMPERATURE = 0.7
"""Temperature of the softmax over classes; below 1, fewer classes contribute."""
TEMPLATE = "a photo of a {}"
"""Sentence around the name of a class."""
MAX_WORDS, BATCH = 64, 128
"""Tokens of a sentence, and sentences in a batch."""


class SemanticPrior(nn.Module):
    """Places features of photos and states of texts in the space of class names.

    The buffers are constants: they are not trained, and a checkpoint contains them.
    """

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

    @torch.no_grad()
    def image(self, features: Tensor) -> Tensor:
        """Positions (..., P) of features (..., D_v) of photos or regions; not of unit length."""
        logits = F.linear(features, self.weight, self.bias).float()  # (..., C)
        return (logits / TEMPERATURE).softmax(-1) @ self.classes

    @torch.no_grad()
    def text(self, states: Tensor) -> Tensor:
        """Positions (..., P) of states (..., D_t) of texts or words; not of unit length."""
        return (F.normalize(states.float(), dim=-1) - self.mean) @ self.basis


def describe(prior: SemanticPrior | None) -> dict[str, int] | None:
    """The sizes of a prior, with which `SemanticPrior` makes an empty one to load a checkpoint."""
    if prior is None:
        return None
    (classes, image_width), (text_width, width) = prior.weight.shape, prior.basis.shape
    return dict(classes=classes, image_width=image_width, text_width=text_width, width=width)


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
