"""Ranks, recall and records of trained models, by the protocols of the literature."""
