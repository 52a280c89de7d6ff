"""Index photos with the machines of a Ray cluster: one lists them, all read and encode."""
