"""All built-in matchers, registered; and the one that a configuration names."""

from typing import Any

import hgan.model.baselines
import hgan.model.hgan  # noqa: F401
from hgan.config import Section
from hgan.model.matcher import MATCHERS, Matcher, MatcherConfig
from hgan.text.encoder import TextEncoder


def build_matcher(config: MatcherConfig, image_width: int, text: TextEncoder) -> Matcher:
    """A matcher with random weights around a text encoder.

    Raises:
        ConfigError: no matcher of that name is registered.
    """
    return MATCHERS.find(config.name)(config, image_width, text)


def matcher_config(values: dict[str, Any]) -> MatcherConfig:
    """A matcher's settings from a dictionary with its name and any of its own keys."""
    made: Section = MATCHERS.settings(values["name"])(**values)
    assert isinstance(made, MatcherConfig)
    return made
