"""The installed half without torch: model bundle, photos to pixels, similarity."""
