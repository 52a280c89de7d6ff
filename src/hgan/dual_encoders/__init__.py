"""Dual encoders of Hugging Face, such as CLIP: which ones are supported, and how to load them."""
