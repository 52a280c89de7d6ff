"""Text encoders: sentences to token states (the last hidden states of a network)."""
