"""The data that training and evaluation read: captions, features, and batches of both."""
