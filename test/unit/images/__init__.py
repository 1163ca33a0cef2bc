"""Tests of the offline image kit."""
