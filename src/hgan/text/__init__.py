"""Sentences to token states."""
