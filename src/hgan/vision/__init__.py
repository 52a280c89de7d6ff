"""Photos to region features, by backbones that need no training."""
