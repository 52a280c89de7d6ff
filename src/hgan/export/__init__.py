"""Checkpoint to bundle: the one way from training to the runtime."""

from hgan.export.bundle import export

__all__ = ["export"]
