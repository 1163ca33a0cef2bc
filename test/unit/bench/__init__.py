"""The benchmark's arithmetic and its tables."""
