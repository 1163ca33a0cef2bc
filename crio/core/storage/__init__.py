"""Rules of the shared image and container store, without the disk: records, names, ids, lookups, sizes, deletion plans."""

from __future__ import annotations
