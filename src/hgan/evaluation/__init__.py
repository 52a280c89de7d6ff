"""Evaluation of trained models with the protocols of the literature: ranks, recall, records."""
