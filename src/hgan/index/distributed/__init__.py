"""Index photos with the machines of a Ray cluster: one of them lists, all of them read and encode."""
