"""The Hierarchical Graph Alignment Network, one concept a file."""
