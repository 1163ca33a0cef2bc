"""The status API and the metrics, without a daemon."""
