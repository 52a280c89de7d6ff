"""Conversion of captions and features between formats (`hgan data convert`)."""
