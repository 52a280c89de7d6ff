"""An index over HTTP: search, photos, explanations, and what operators need."""
