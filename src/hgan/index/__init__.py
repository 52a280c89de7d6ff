"""Photos and texts are encoded and stored: the one writer of an index, and the stores below it."""
