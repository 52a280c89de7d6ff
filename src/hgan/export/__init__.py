"""Export of checkpoints as bundles, which the runtime reads without torch."""
