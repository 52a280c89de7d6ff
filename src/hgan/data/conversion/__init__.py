"""Conversion of captions and features from one form to another."""
