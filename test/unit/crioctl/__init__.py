"""The test client without a runtime."""
