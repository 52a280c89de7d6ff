"""The text tower of a dual encoder, such as CLIP, as a text encoder.

A sentence's context is its embedding, which can be compared with that of a photo. Texts are padded
as the tower was trained: SigLIP reads a fixed number of tokens, padding included; CLIP and AltCLIP
do not see padding. None of them has a mask token.
"""

import math
from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedModel

from hgan.dual_encoders.load import family_of, keep_text, load_model
from hgan.dual_encoders.tokenizer import read_tokenizer
from hgan.errors import ConfigError
from hgan.hub import HubModel
from hgan.text.encoder import TextEncoder, TokenStates, check_trainable

MODEL_TYPE = "dual encoder"
"""`model_type` of a description, see `DualTextEncoder.describe`."""
_ABOVE = ("final_layer_norm", "head", "pre_LN", "transformation", "text_projection")
"""Names of the modules above the layers of a text tower; each class has some of them."""


class TextRules(NamedTuple):
    """How a text tower wants its tokens."""

    max_words: int
    """Tokens of the longest text."""
    pad_id: int
    """Id of the padding."""
    pads: bool
    """Whether all texts are padded to `max_words`."""
    masked: bool
    """Whether the tower is told which tokens are padding."""


class DualTextEncoder(TextEncoder):
    """A text tower that gives states of tokens, and an embedding of the whole text.

    Attributes:
        model: the dual encoder without its vision tower.
        rules: how it wants its tokens.
        temperature: temperature of the softmax that the model was trained with; None for a model
            that is built to load a checkpoint.
    """

    temperature: float | None = None

    def __init__(self, model: PreTrainedModel, special_ids: list[int], rules: TextRules) -> None:
        super().__init__(special_ids, mask_id=None)
        self.model, self.rules = model, rules
        with torch.inference_mode():  # widths have other names in each class
            found = self._run(torch.tensor([special_ids[:1]]), torch.ones(1, 1).long())
        self._width, self.context_width = found[0].shape[-1], found[1].shape[-1]

    @property
    def width(self) -> int:
        """D_t, width of a token state."""
        return self._width

    def forward(
        self,
        ids: Tensor,
        mask: Tensor,
        frozen_cache: Tensor | None = None,
        pretrained_cache: Tensor | None = None,
    ) -> TokenStates:
        """Encode token ids (T, W) with mask (T, W); nothing is cached for a dual encoder. The
        context of the result (T, P) is the embedding, not of unit length."""
        states, embeddings = self._run(ids, mask)
        return TokenStates(states, embeddings, self.is_word(ids, mask))

    def encode(self, ids: Tensor, mask: Tensor, frozen_cache: Tensor | None) -> Tensor:
        """States (T, W, D_t) of the last layer."""
        return self._run(ids, mask)[0]

    def _run(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """States (T, W, D_t) and embeddings (T, P)."""
        words = ids.shape[1]
        ids = ids.masked_fill(mask == 0, self.rules.pad_id)
        if self.rules.pads:
            # For any number of words, so that the exported network takes any too.
            padding = ids.new_full((ids.shape[0], self.rules.max_words), self.rules.pad_id)
            ids = torch.cat([ids, padding], dim=1)[:, : self.rules.max_words]
        found = self.model.get_text_features(  # type: ignore[operator]
            input_ids=ids, attention_mask=mask if self.rules.masked else None
        )
        return found.last_hidden_state[:, :words], found.pooler_output

    def freeze(self, trainable_layers: int | None) -> None:
        """Train only the top layers and what is above them; None trains everything, including the
        embeddings of tokens, 0 nothing."""
        self.model.requires_grad_(trainable_layers is None)
        if not trainable_layers:
            return
        layers = self._layers()
        check_trainable(trainable_layers, len(layers))
        layers[-trainable_layers:].requires_grad_(True)
        for name, module in self.model.named_modules():
            if name.rpartition(".")[2] in _ABOVE:
                module.requires_grad_(True)

    def pretrained_states(
        self, ids: Tensor, mask: Tensor, layers: int | None, frozen_cache: Tensor | None = None
    ) -> Tensor:
        """Not for dual encoders.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "loss.soft_temperature: captions cannot be compared by the text tower of a dual "
            "encoder; set it to 0"
        )

    def describe(self) -> dict[str, Any]:
        """The model's configuration, and how it wants its tokens."""
        config = self.model.config.to_dict()
        return {"model_type": MODEL_TYPE, "config": config, "rules": self.rules._asdict()}

    def _layers(self) -> nn.ModuleList:
        """The layers of the text tower, which have another name in each class."""
        tower = self.model.get_submodule("text_model")
        encoder = getattr(tower, "roberta", tower).get_submodule("encoder")
        layers = getattr(encoder, "layers", None) or encoder.get_submodule("layer")
        assert isinstance(layers, nn.ModuleList)
        return layers


def load_dual_encoder(name: str, max_words: int) -> tuple[DualTextEncoder, Tokenizer]:
    """Load the text tower of a dual encoder with its weights, and its tokenizer.

    Args:
        name: a name on the hub, or a folder.
        max_words: the maximum number of tokens of a text in the settings.

    Raises:
        ConfigError: the model cannot be loaded, or reads fewer tokens.
    """
    source = HubModel.find(name)
    family = family_of(source, "choose one of them as text.encoder")
    model = load_model(source)
    found = read_tokenizer(source, model.config, family.pads)
    if max_words > found.max_words:
        raise ConfigError(
            f"text.max_words: {max_words}, but {name} reads at most {found.max_words} tokens"
        )
    padding = found.tokenizer.padding
    assert padding is not None  # set by read_tokenizer
    rules = TextRules(found.max_words, padding["pad_id"], family.pads, found.masked)
    scale: Any = model.logit_scale
    encoder = _assemble(model, found.tokenizer, rules)
    encoder.temperature = math.exp(-float(scale))
    return encoder, found.tokenizer


def build_dual_encoder(description: dict[str, Any], tokenizer: Tokenizer) -> DualTextEncoder:
    """Build a text tower with random weights from `describe`, to load a checkpoint into it."""
    config = AutoConfig.for_model(**description["config"])
    config.vision_config.num_hidden_layers = 0  # of the vision tower, which is thrown away
    model = AutoModel.from_config(  # type: ignore[no-untyped-call]
        config, trust_remote_code=False, attn_implementation="eager"
    )
    return _assemble(model.eval(), tokenizer, TextRules(**description["rules"]))


def _assemble(model: PreTrainedModel, tokenizer: Tokenizer, rules: TextRules) -> DualTextEncoder:
    special = [i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special]
    tokenizer.no_truncation()
    tokenizer.no_padding()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # as in other text encoders; augmentation already drops words
    return DualTextEncoder(keep_text(model), special, rules)
