"""Training: settings, losses, schedule, checkpoints, the training loop, and sweeps of many runs."""
