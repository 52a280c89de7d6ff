"""Default locations of a user's index, and of the cache."""

import os
from pathlib import Path

from platformdirs import user_cache_path, user_data_path


def default_index() -> Path | str:
    """The default index: $HGAN_INDEX, or a folder in the user's data directory.

    The address of a collection on a server is returned as a string.
    """
    if named := os.environ.get("HGAN_INDEX"):
        return named if named.startswith(("http://", "https://")) else Path(named)
    return user_data_path("hgan", appauthor=False) / "index"


def cache_folder() -> Path:
    """Folder for data that can be recomputed: $HGAN_CACHE, or one in the user's cache directory."""
    if named := os.environ.get("HGAN_CACHE"):
        return Path(named)
    return user_cache_path("hgan", appauthor=False)
