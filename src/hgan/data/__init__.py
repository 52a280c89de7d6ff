"""Captions, ground truth and feature stores: what training and evaluation read."""
