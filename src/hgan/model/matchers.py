"""Register all built-in matchers, and build the matcher of a configuration."""

from typing import Any

import hgan.model.baselines
import hgan.model.hgan  # noqa: F401
from hgan.config import Section
from hgan.model.matcher import MATCHERS, Matcher, MatcherConfig
from hgan.text.encoder import TextEncoder


def build_matcher(config: MatcherConfig, image_width: int, text: TextEncoder) -> Matcher:
    """Build a matcher with random weights and the given text encoder.

    Raises:
        ConfigError: no matcher with that name is registered.
    """
    return MATCHERS.find(config.name)(config, image_width, text)


def matcher_config(values: dict[str, Any]) -> MatcherConfig:
    """The settings of a matcher from a dictionary with its name and any of its other keys."""
    made: Section = MATCHERS.settings(values["name"])(**values)
    assert isinstance(made, MatcherConfig)
    return made
