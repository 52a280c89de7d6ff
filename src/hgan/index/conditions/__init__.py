"""Conditions on photos: which folder, when, which camera, tag, person, place, rating or name."""
