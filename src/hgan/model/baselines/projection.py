"""The way from backbone features into a matcher's space, the same for all compared methods."""

from torch import nn

from hgan.model.dropout import FeatureDropout


def projection(source_width: int, width: int, dropout: float) -> nn.Sequential:
    """(B, n, source_width) to (B, n, width), by one linear layer.

    The papers have a plain linear layer here. Norm and dropout are those of HGAN's towers: with the
    same care for all, a difference in the results is a difference between the methods.
    """
    return nn.Sequential(
        nn.LayerNorm(source_width), FeatureDropout(dropout), nn.Linear(source_width, width)
    )
