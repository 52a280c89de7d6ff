"""Names without accents, as many people type them: `sao paulo` for `são paulo`."""

from unicodedata import combining, normalize


def without_accents(text: str) -> str:
    """The text with its letters only."""
    return "".join(letter for letter in normalize("NFKD", text) if not combining(letter))
