"""Extraction of region features from photos with frozen pretrained backbones."""
