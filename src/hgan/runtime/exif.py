"""Names of `hgan.runtime.metadata.text` that filters of an index use."""

from hgan.runtime.metadata.text import clean_tag as clean_tag
from hgan.runtime.metadata.text import seconds as seconds
