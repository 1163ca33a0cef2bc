"""HTTP status API, metrics, timeline."""
