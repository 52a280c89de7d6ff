"""Errors that a user can cause; each message says what is wrong, where, and what to do."""


class HganError(Exception):
    """Base of all errors that a user can cause; the command line prints it and exits with 2."""


class DataError(HganError):
    """A caption file, a photo or a feature array is missing, damaged or inconsistent."""


class SourceError(HganError):
    """A source of photos cannot be reached, or denies access."""


class BundleError(HganError):
    """A model bundle is missing, damaged, or of a version this program cannot read."""


class IndexingError(HganError):
    """An index is missing, damaged, locked, or was made with another bundle."""


class TrainingError(HganError):
    """A training cannot go on: its loss is not finite, its folder cannot be written, or another
    process trains the same run."""


class ProcessError(HganError):
    """Another process of a distributed run has ended, or cannot be reached."""


class ConfigError(HganError):
    """A setting is not valid, or conflicts with another setting; or a package is missing."""
