"""The registry client: connections, authentication, manifests and blobs."""
