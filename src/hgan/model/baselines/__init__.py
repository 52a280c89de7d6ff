"""Baselines that HGAN is compared with, one per file; importing the package registers them all."""

from hgan.model.registry import import_all

import_all(__name__, __path__)
