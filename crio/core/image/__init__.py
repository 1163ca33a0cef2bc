"""Pure rules of images: references, digests, manifests, configurations, registries, trust, credentials and names."""
