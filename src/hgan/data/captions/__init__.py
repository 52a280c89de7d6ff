"""Readers of caption files in several formats."""
