"""The test client, the demo and the benchmark against a real daemon."""
