"""Stores of an index: the interface, its two engines (Qdrant Edge, Qdrant server), the manifest."""
