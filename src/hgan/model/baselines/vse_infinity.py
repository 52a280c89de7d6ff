"""VSE-infinity: as VSE++, but how regions and words are pooled is learned.

Chen et al., *Learning the Best Pooling Strategy for Visual Semantic Embedding*, CVPR 2021: each
feature's values are sorted and summed by learned weights, equations 3 to 6, which are in
`hgan.model.pooling`; all else is VSE++'s.
"""

from dataclasses import dataclass
from typing import Literal

from hgan.model.baselines.vse_plus_plus import VSEConfig, VSEPlusPlus
from hgan.model.matcher import MATCHERS
from hgan.model.pooling import GeneralisedPooling


@dataclass
class VSEInfinityConfig(VSEConfig):
    """VSE-infinity."""

    name: Literal["vse_infinity"] = "vse_infinity"  # type: ignore[assignment]
    """Which matcher; the other keys are its own settings."""


@MATCHERS.register
class VSEInfinity(VSEPlusPlus):
    """Generalised pooling and the cosine, on one level: context."""

    Config = VSEInfinityConfig
    title = "VSE-infinity"
    source = "Generalised pooling (Chen et al., CVPR 2021; arXiv 2011.04305)."
    pooling = GeneralisedPooling

    def describe_parts(self) -> dict[str, str]:
        """How regions and words become one vector."""
        return {"pooling": "generalised"}
