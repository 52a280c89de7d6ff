"""VSE++: mean pooling, trained on the hardest negatives.

Faghri et al., *VSE++: Improving Visual-Semantic Embeddings with Hard Negatives*, BMVC 2018: the
contribution is the loss, a hinge on the hardest negative (`hgan.training.losses.hinge`), which it
must therefore be trained with. Regions and words are pooled by their mean, equations 1 and 2 (for
sentences, the paper has the last state of a GRU).
"""

from dataclasses import dataclass
from typing import Literal

from hgan.model.baselines.baseline import BaselineConfig
from hgan.model.baselines.mean_pooling import Mean
from hgan.model.matcher import MATCHERS


@dataclass
class VSEConfig(BaselineConfig):
    """Settings of VSE++."""

    name: Literal["vse++"] = "vse++"
    """Name of the matcher; the other keys depend on it."""


@MATCHERS.register
class VSEPlusPlus(Mean):
    """Mean pooling, trained with the hinge loss; its own level is `context`."""

    Config = VSEConfig
    title = "VSE++"
    source = "Visual-semantic embedding (Faghri et al., BMVC 2018; arXiv 1707.05612)."
    losses = ("hinge",)
