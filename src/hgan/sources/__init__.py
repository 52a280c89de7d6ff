"""Sources of photos: list and read the photos in a folder or in an object store."""
