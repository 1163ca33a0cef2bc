"""Tests of everything. A package, so that the rings share test.support; see HACKING.md."""
