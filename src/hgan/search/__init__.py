"""Index a folder of photos, and find the ones that match words or a photo."""
