"""Image-text retrieval with the Hierarchical Graph Alignment Network."""

__version__ = "0.1.0"
