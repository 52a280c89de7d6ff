"""The store contract, its two engines, and what an index says of itself."""
