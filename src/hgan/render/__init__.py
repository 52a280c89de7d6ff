"""Results as pictures: contact sheets and heat maps."""
