"""Position embeddings of SigLIP 2 for photos of any shape, in a form that can be exported.

SigLIP 2 interpolates its square of position embeddings to the shape of each photo, bilinearly with
antialiasing. That is linear, and separate for rows and columns: the weights of the original rows
for each length are a table, and interpolation is two look-ups and a matrix product.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


class PositionTable(nn.Module):
    """Interpolates position embeddings like `Siglip2VisionEmbeddings.resize_positional_embeddings`.

    Args:
        side: rows and columns of the position embeddings.
        patches: maximum number of patches of a photo.
    """

    weights: Tensor  # (P * (P + 1) / 2, side), those of length n from row n * (n - 1) / 2 on

    def __init__(self, side: int, patches: int) -> None:
        super().__init__()
        rows = torch.eye(side).view(1, side, side, 1)
        found = [
            F.interpolate(rows, size=(n, 1), mode="bilinear", align_corners=False, antialias=True)
            for n in range(1, patches + 1)
        ]  # (1, side, n, 1) each
        self.register_buffer("weights", torch.cat([each[0, :, :, 0].T for each in found]))

    def forward(self, positions: Tensor, spatial_shapes: Tensor, max_length: int) -> Tensor:
        """Interpolate positions (side, side, D) to shapes (N, 2), in row-major order and padded
        with the first one: (N, max_length, D)."""
        down, across = spatial_shapes[:, :1], spatial_shapes[:, 1:]  # (N, 1)
        place = torch.arange(max_length, device=spatial_shapes.device)[None]
        place = torch.where(place < down * across, place, 0)  # (N, P)
        row = self.weights[down * (down - 1) // 2 + place // across]  # (N, P, side)
        column = self.weights[across * (across - 1) // 2 + place % across]
        share = (row[..., :, None] * column[..., None, :]).flatten(2)  # (N, P, side * side)
        return share @ positions.flatten(0, 1)
