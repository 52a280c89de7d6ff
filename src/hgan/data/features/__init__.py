"""Region features of photos: the store that `hgan extract` writes, and folders in SCAN's format."""
