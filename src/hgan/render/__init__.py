"""Draw results as pictures: contact sheets and heat maps."""
