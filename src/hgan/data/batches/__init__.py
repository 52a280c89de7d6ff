"""Batches of captions and features for training and evaluation."""
