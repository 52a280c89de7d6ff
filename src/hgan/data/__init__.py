"""Data for training and evaluation: captions, features, batches, checks and conversion."""
