"""Checkpoint to bundle: the only connection between training and the runtime."""
