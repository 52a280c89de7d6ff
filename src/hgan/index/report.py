"""What a run over photos or texts did to an index."""

from dataclasses import dataclass, field


@dataclass
class IndexReport:
    """Counts of a run; every photo of the folder, or text of the file, is in one of them."""

    added: int = 0
    updated: int = 0
    removed: int = 0
    """Were in the index, and no longer exist in the folder or the file, or cannot be read."""
    unchanged: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    """Files, or places in a file, that were left out, with the reason."""
