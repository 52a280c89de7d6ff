"""The matcher that a configuration names."""

from collections.abc import Callable

from hgan.config import ModelConfig, ModelName
from hgan.model.baselines.scan import SCAN
from hgan.model.baselines.sgraf import SGRAF
from hgan.model.baselines.vse import VSE
from hgan.model.hgan import HGAN
from hgan.model.matcher import Matcher
from hgan.text.encoder import TextEncoder

MATCHERS: dict[ModelName, Callable[[ModelConfig, int, TextEncoder], Matcher]] = {
    "hgan": HGAN,
    "vse++": VSE,
    "vse_infinity": VSE,
    "scan": SCAN,
    "sgraf": SGRAF,
}


def build_matcher(config: ModelConfig, image_width: int, text: TextEncoder) -> Matcher:
    """A matcher with random weights around a text encoder."""
    return MATCHERS[config.name](config, image_width, text)
