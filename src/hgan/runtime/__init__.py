"""Run a model without torch: bundles, decoding of photos, similarity, explanation."""
