"""Ring unit: pure, in milliseconds."""
