"""Errors that a user can cause, each saying what is wrong, where, and what to do about it."""


class HganError(Exception):
    """Base of every error that a user's input can cause; the command line prints it and exits 2."""


class DataError(HganError):
    """A caption file, a photo or a feature array is missing, damaged or inconsistent."""


class SourceError(HganError):
    """The place where photos are cannot be reached, or denies access."""


class BundleError(HganError):
    """A model bundle is missing, damaged, or of a version this program cannot read."""


class IndexingError(HganError):
    """An index is missing, damaged, locked, or was made with another bundle."""


class ConfigError(HganError):
    """A setting has a value that cannot work, or contradicts another setting."""
