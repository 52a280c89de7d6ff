"""Index photos and texts: encode them, and write them to a store."""
