"""Register all built-in matchers, and build the matcher of a configuration."""

from typing import Any

import hgan.model.baselines  # noqa: F401
from hgan.config import Section
from hgan.errors import ConfigError
from hgan.model.hgan import HGAN
from hgan.model.matcher import MATCHERS, Matcher, MatcherConfig
from hgan.model.prior import Prior
from hgan.text.encoder import TextEncoder
from hgan.vision.backbone import Blocks


def build_matcher(
    config: MatcherConfig,
    image_width: int,
    text: TextEncoder,
    prior: Prior | None = None,
    vision: Blocks | None = None,
    context_width: int = 0,
) -> Matcher:
    """Build a matcher with random weights, the given text encoder, and the prior and the trained
    layers of the backbone, if there are any.

    Raises:
        ConfigError: no matcher with that name is registered, or it cannot use the embeddings of a
            dual encoder.
    """
    given: dict[str, Any] = {} if prior is None else {"prior": prior}
    kind = MATCHERS.find(config.name)
    if issubclass(kind, HGAN):
        given |= {"context_width": context_width} if context_width else {}
    elif context_width or text.context_width:
        raise ConfigError(
            f"model.name: {config.name} cannot use the embeddings of a dual encoder; set "
            "vision.dual_encoder to false and text.encoder to another model, or model.name to hgan"
        )
    network = kind(config, image_width, text, **given)
    network.vision = vision
    return network


def matcher_config(values: dict[str, Any]) -> MatcherConfig:
    """The settings of a matcher from a dictionary with its name and any of its other keys."""
    made: Section = MATCHERS.settings(values["name"])(**values)
    assert isinstance(made, MatcherConfig)
    return made
