"""Vectors of the patches of a photo in the joint space of a dual encoder, for explanations.

MaskCLIP (Zhou et al., "Extract Free Dense Labels from CLIP", ECCV 2022): the last attention mixes
all patches into the embedding. Without it, each patch goes alone through the projections of values
and outputs and through the layers after them, and becomes a vector that can be compared with those
of texts. Nothing is trained for this, so such vectors are approximate.

As in the authors' code for vision transformers, the residual connections and the feed-forward layer
of the last layer are kept. SigLIP has its last attention in a head that pools the patches, without
a residual connection around it, like the head of CLIP's ResNets in the paper.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from transformers import PreTrainedModel

from hgan.model.layers import unit


class LastLayerPatches(nn.Module):
    """CLIP and AltCLIP: the last attention is that of the last layer."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        vision = model.vision_model
        self.layer = vision.encoder.layers[-1]
        self.norm, self.projection = vision.post_layernorm, model.visual_projection

    def forward(self, states: Tensor) -> Tensor:
        """From the states before the last layer (N, 1 + P, W), the class token first, to vectors of
        patches (N, P, D) of length one."""
        x, layer = states[:, 1:], self.layer
        attention = layer.self_attn
        x = x + attention.out_proj(attention.v_proj(layer.layer_norm1(x)))  # (N, P, W)
        x = x + layer.mlp(layer.layer_norm2(x))
        return unit(self.projection(self.norm(x)))


class PoolingPatches(nn.Module):
    """SigLIP: the last attention is that of the head, which pools all patches."""

    value: Tensor  # (W, W)
    bias: Tensor  # (W,)

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.head = model.vision_model.head
        attention = self.head.attention  # whose one matrix (3 W, W) is for queries, keys and values
        self.register_buffer("value", attention.in_proj_weight.chunk(3)[2].clone())
        self.register_buffer("bias", attention.in_proj_bias.chunk(3)[2].clone())

    def forward(self, states: Tensor) -> Tensor:
        """From the states after the last layer (N, P, W) to vectors of patches (N, P, W) of length
        one."""
        head = self.head
        x = head.attention.out_proj(F.linear(states, self.value, self.bias))  # (N, P, W)
        return unit(x + head.mlp(head.layernorm(x)))


def patch_network(model: PreTrainedModel) -> nn.Module:
    """The network from the states of `encode_with_states` to vectors of patches (N, P, D)."""
    return PoolingPatches(model) if _pools(model) else LastLayerPatches(model)


def encode_with_states(model: PreTrainedModel, values: Tensor) -> tuple[Tensor, Tensor]:
    """Encode photos, and keep what the last attention reads.

    Args:
        model: a dual encoder.
        values: (N, 3, size, size) normalised pixels.

    Returns:
        The model's own embeddings (N, D), and the states for `patch_network`, (N, T, W).
    """
    vision: Any = model.vision_model
    last: nn.Module = vision.head if _pools(model) else vision.encoder.layers[-1]
    read: list[Tensor] = []
    hook = last.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    try:
        found = model.get_image_features(pixel_values=values)  # type: ignore[operator]
    finally:
        hook.remove()
    return found.pooler_output, read[0]


def _pools(model: PreTrainedModel) -> bool:
    return hasattr(model.vision_model, "head")
