"""Checks of a data set before training (`hgan data check`)."""
