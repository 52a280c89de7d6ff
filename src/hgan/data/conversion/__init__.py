"""Captions and features from one form to another."""
