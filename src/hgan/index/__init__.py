"""Where encoded photos are stored: one contract, an embedded engine behind it."""
