"""Ranks, recall and reports by the field's protocols."""
