"""Losses, schedule, checkpoints and the one training loop."""
