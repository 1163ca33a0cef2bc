"""The pull engine: from a reference to an image in the store."""
