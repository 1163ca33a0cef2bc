"""The rules of the house as tests: layers, banned calls, sizes, types, lint."""
