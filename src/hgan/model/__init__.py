"""Matchers: HGAN in `hgan.py`, the methods it is compared with in `baselines/`."""
