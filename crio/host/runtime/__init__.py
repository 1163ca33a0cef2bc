"""OCI runtimes as programs: their command line, and choosing those that work on this host."""
