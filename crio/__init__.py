"""A Kubernetes container runtime of the CRI-O design."""

from __future__ import annotations

__version__ = "1.37.0"
