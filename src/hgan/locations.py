"""Default places: the index of this user, and the cache of what can be computed again."""

import os
from pathlib import Path

from platformdirs import user_cache_path, user_data_path


def default_index() -> Path | str:
    """The index when none is named: $HGAN_INDEX, or a folder in this user's data directory.

    The address of a collection on a server stays text.
    """
    if named := os.environ.get("HGAN_INDEX"):
        return named if named.startswith(("http://", "https://")) else Path(named)
    return user_data_path("hgan", appauthor=False) / "index"


def cache_folder() -> Path:
    """What can be computed again: $HGAN_CACHE, or a folder in this user's cache directory."""
    if named := os.environ.get("HGAN_CACHE"):
        return Path(named)
    return user_cache_path("hgan", appauthor=False)
