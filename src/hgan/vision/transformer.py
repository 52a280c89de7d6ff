"""The layers of a vision transformer of Hugging Face, so that its last ones can be trained.

A tower is taken apart into its embeddings, its layers and the norm after them, which have other
names in each class. Whether the parts make what the tower itself makes is compared with numbers.
"""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from hgan.errors import ConfigError
from hgan.vision.backbone import Backbone, Blocks, Regions, check_trainable, pool

_LAYERS = "layers", "encoder.layers", "encoder.layer"
_NORMS = "layernorm", "post_layernorm", ""
"""Places of the layers, and of the norm of the last state, which some classes do not have."""
TOLERANCE = 1e-3
"""Largest difference of states, relative to their standard deviation."""


class Embeddings(nn.Module):
    """From normalised pixels to the input of the first layer."""

    def __init__(self, tower: nn.Module, options: dict[str, bool]) -> None:
        super().__init__()
        self.embeddings = tower.get_submodule("embeddings")
        self.norm = getattr(tower, "pre_layrnorm", None)  # as CLIP spells it
        self._options = options

    def forward(self, pixels: Tensor) -> Tensor:
        """Tokens (B, tokens, D) of pixels (B, 3, size, size)."""
        tokens: Tensor = self.embeddings(pixels, **self._options)
        return tokens if self.norm is None else self.norm(tokens)


class Layer(nn.Module):
    """A layer that sees all tokens."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, tokens, D) after the layer."""
        found = self.layer(tokens, None)
        return found[0] if isinstance(found, tuple) else found


class Top(nn.Module):
    """Regions of the tokens after the last layer: means of the patches' states."""

    def __init__(self, norm: nn.Module, side: int, grid: int) -> None:
        super().__init__()
        self.norm, self.side, self.grid = norm, side, grid

    def forward(self, tokens: Tensor) -> Regions:
        """Features of tokens (B, extra + side * side, D_v)."""
        return pool(patch_map(self.norm(tokens), self.side), self.grid)


@dataclass
class Parts:
    """A tower, taken apart; the modules are those of the tower."""

    embeddings: Embeddings
    layers: list[Layer]
    norm: nn.Module
    """Of the last state."""


@torch.inference_mode()
def take_apart(tower: PreTrainedModel, size: int, options: dict[str, bool]) -> Parts | None:
    """The parts of a vision tower; None for a network that is not layers of tokens one after the
    other.

    Args:
        tower: the network.
        size: side of its input photos in pixels.
        options: further arguments of its embeddings.
    """
    found = [_submodule(tower, name) for name in _LAYERS]
    layers = next((each for each in found if isinstance(each, nn.ModuleList)), None)
    if layers is None or not hasattr(tower, "embeddings"):
        return None
    pixels = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    own = Parts(Embeddings(tower, options), [Layer(layer) for layer in layers], nn.Identity())
    try:
        expected = tower(pixel_values=pixels, **options).last_hidden_state
        state = own.embeddings(pixels)
        for layer in own.layers:
            state = layer(state)
        for name in _NORMS:
            norm = _submodule(tower, name) if name else nn.Identity()
            if norm is not None and _same(norm(state), expected):
                own.norm = norm
                return own
    except (RuntimeError, TypeError, ValueError, AttributeError, IndexError):
        pass  # layers with other arguments, such as those of Swin
    return None


class LayeredBackbone(Backbone):
    """A backbone whose last layers can be trained if its network is layers of tokens.

    Subclasses call `use_layers` and implement `top`, and `everything` for networks of other forms.
    """

    def use_layers(
        self, tower: PreTrainedModel, options: dict[str, bool], trainable_layers: int | None
    ) -> None:
        """Find the layers, if some are trained.

        Args:
            tower: the network, or its part that has the layers.
            options: further arguments of its embeddings.
            trainable_layers: number of last layers that a matcher trains, None for all.

        Raises:
            ConfigError: the network does not have so many layers, or no list of layers.
        """
        self.trainable_layers = trainable_layers
        parts = take_apart(tower, self.size, options) if trainable_layers != 0 else None
        # In a list, since the modules of the network would be registered twice.
        self._parts = [parts] if parts is not None else []
        if not trainable_layers:
            return
        if parts is None:
            raise ConfigError(
                f"vision.trainable_layers: {trainable_layers}, but {self.name} has no list of "
                "layers that run one after the other; use 0, or null (train all)"
            )
        check_trainable(self.name, trainable_layers, len(parts.layers))

    def top(self, norm: nn.Module) -> nn.Module:
        """From the tokens after the last layer (B, tokens, D) to `Regions`; `norm` is that of the
        last state."""
        raise NotImplementedError

    def everything(self) -> Blocks:
        """The whole network without a list of layers, from photos to regions."""
        raise NotImplementedError

    def lower(self, pixels: Tensor) -> Tensor:
        """The input (B, tokens, D) of the last layers."""
        x = self._parts[0].embeddings(pixels)
        for layer in self._frozen_and_trained()[0]:
            x = layer(x)
        return x

    def upper(self, maps: Tensor) -> Regions:
        """Features by the frozen network, from the input (B, tokens, D) of its last layers."""
        for layer in self._frozen_and_trained()[1]:
            maps = layer(maps)
        regions: Regions = self.top(self._parts[0].norm)(maps)
        return regions

    def blocks(self) -> Blocks:
        """A copy of the last layers and of what is above them; of the embeddings of patches too, if
        all are trained."""
        if not self._parts:
            return deepcopy(self.everything()).requires_grad_(True)
        modules: list[nn.Module] = [*self._frozen_and_trained()[1]]
        if self.trainable_layers is None:
            modules = [self.normalise, self._parts[0].embeddings, *modules]
        top = self.top(self._parts[0].norm)
        return deepcopy(Blocks(nn.Sequential(*modules), top)).requires_grad_(True)

    def _frozen_and_trained(self) -> tuple[list[Layer], list[Layer]]:
        layers = self._parts[0].layers
        first = 0 if self.trainable_layers is None else len(layers) - self.trainable_layers
        return layers[:first], layers[first:]


def patch_map(state: Tensor, side: int) -> Tensor:
    """The patches of a hidden state (B, extra + side * side, D_v) as a map (B, D_v, side, side);
    the class token and register tokens are before the patches."""
    patches = state[:, state.shape[1] - side * side :]
    return patches.transpose(1, 2).reshape(state.shape[0], -1, side, side)


def _submodule(tower: nn.Module, name: str) -> nn.Module | None:
    try:
        return tower.get_submodule(name)
    except AttributeError:
        return None


def _same(found: Tensor, expected: Tensor) -> bool:
    if found.shape != expected.shape:
        return False
    return float((found - expected).abs().max()) <= TOLERANCE * float(expected.std())
