"""The HTTP service of an index: search, photos, explanations, and routes for operators."""
