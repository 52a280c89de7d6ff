"""Register all built-in matchers, and build the matcher of a configuration."""

from typing import Any

import hgan.model.baselines
import hgan.model.hgan  # noqa: F401
from hgan.config import Section
from hgan.model.matcher import MATCHERS, Matcher, MatcherConfig
from hgan.model.prior import SemanticPrior
from hgan.text.encoder import TextEncoder
from hgan.vision.backbone import Blocks


def build_matcher(
    config: MatcherConfig,
    image_width: int,
    text: TextEncoder,
    prior: SemanticPrior | None = None,
    vision: Blocks | None = None,
) -> Matcher:
    """Build a matcher with random weights, the given text encoder, and the prior and the trained
    blocks of the backbone, if there are any.

    Raises:
        ConfigError: no matcher with that name is registered.
    """
    given = () if prior is None else (prior,)
    network = MATCHERS.find(config.name)(config, image_width, text, *given)
    network.vision = vision
    return network


def matcher_config(values: dict[str, Any]) -> MatcherConfig:
    """The settings of a matcher from a dictionary with its name and any of its other keys."""
    made: Section = MATCHERS.settings(values["name"])(**values)
    assert isinstance(made, MatcherConfig)
    return made
