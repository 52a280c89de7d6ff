"""VSE-infinity: VSE++ with learned pooling of regions and words.

Chen et al., *Learning the Best Pooling Strategy for Visual Semantic Embedding*, CVPR 2021: the
values of each feature are sorted and summed with learned weights (equations 3 to 6, implemented in
`hgan.model.pooling`); everything else is as in VSE++.
"""

from dataclasses import dataclass
from typing import Literal

from hgan.model.baselines.vse_plus_plus import VSEConfig, VSEPlusPlus
from hgan.model.matcher import MATCHERS
from hgan.model.pooling import GeneralisedPooling


@dataclass
class VSEInfinityConfig(VSEConfig):
    """Settings of VSE-infinity."""

    name: Literal["vse_infinity"] = "vse_infinity"  # type: ignore[assignment]
    """Name of the matcher; the other keys depend on it."""


@MATCHERS.register
class VSEInfinity(VSEPlusPlus):
    """Generalised pooling and cosine similarity; its only level is `context`."""

    Config = VSEInfinityConfig
    title = "VSE-infinity"
    source = "Generalised pooling (Chen et al., CVPR 2021; arXiv 2011.04305)."
    pooling = GeneralisedPooling

    def describe_parts(self) -> dict[str, str]:
        """How regions and words are pooled."""
        return {"pooling": "generalised"}
