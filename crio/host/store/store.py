"""Opening a store. What it can do is in the verb modules, each building on the one before: layers, images, containers, upkeep."""

from __future__ import annotations

import os

from crio.core.errors import FailedPrecondition, InvalidArgument
from crio.host.store.options import StoreOptions
from crio.host.store.parts import Parts
from crio.host.store.upkeepverbs import UpkeepVerbs, open_parts


class Store(UpkeepVerbs):
    """An open store: thread-safe, synchronous. Reads answer from memory, writes hold locks for milliseconds."""


def open_store(options: StoreOptions) -> Store:
    """Open the store at ``options.root``, creating what is missing and dropping layers that were never finished.

    Raises InvalidArgument for paths, drivers or options that cannot be, DamagedStore for an index that cannot be read (nothing is
    overwritten), FailedPrecondition when the file system cannot carry a store.
    """
    for field, path in (("root", options.root), ("runroot", options.runroot), ("imagestore", options.imagestore)):
        if path and (not os.path.isabs(path) or os.path.normpath(path) != path):
            raise InvalidArgument(f"{field} is {path!r}, expected an absolute path without . and .. parts")
    if not options.root or not options.runroot:
        raise InvalidArgument("root and runroot are needed, one of them is empty")
    try:
        parts = Parts(options)
        try:
            open_parts(parts)
            store = Store(parts)
            store.remove_stale_areas()
        except BaseException:
            parts.release_drivers()
            parts.close()
            raise
    except OSError as error:
        raise FailedPrecondition(f"cannot open the store at {options.root}: {error.strerror}: {error.filename}") from error
    return store
