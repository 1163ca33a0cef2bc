"""Tests of the settings: declarations, files, flags, and what is generated from them."""
