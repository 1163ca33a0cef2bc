"""Storage drivers: how the tree of a layer lies on disk. Adding one takes one module and one line in ``registry``."""

from __future__ import annotations
