"""Images in files: OCI layouts, archives and plain directories as sources for the pull engine."""
