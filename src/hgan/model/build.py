"""The matcher that a configuration names."""

from hgan.config import ModelConfig
from hgan.model.hgan import HGAN
from hgan.model.matcher import Matcher
from hgan.text.encoder import TextEncoder


def build_matcher(config: ModelConfig, image_width: int, text: TextEncoder) -> Matcher:
    """A matcher with random weights around a text encoder."""
    return HGAN(config, image_width, text)
