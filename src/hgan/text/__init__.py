"""Text encoders: from sentences to the last hidden states of their tokens."""
