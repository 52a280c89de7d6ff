"""Matchers: HGAN in `hgan.py`, and the baselines it is compared with in `baselines/`."""
