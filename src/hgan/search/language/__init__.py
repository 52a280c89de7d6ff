"""The query language: one line of words and conditions, as people type it."""
