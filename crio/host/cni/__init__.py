"""Pod networks: finds the configuration, runs the plugins, keeps the records."""
