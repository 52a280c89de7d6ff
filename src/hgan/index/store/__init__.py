"""The store contract, its two engines, and the metadata of an index."""
