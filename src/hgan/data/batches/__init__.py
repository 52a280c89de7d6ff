"""Captions and features to the batches that training and evaluation read."""
