"""Search an index: photos or sentences that match words or a photo."""
