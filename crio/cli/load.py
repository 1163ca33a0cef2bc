"""``crio load``: bring an image from a file or folder into the storage, beside a running daemon or without one.

A pull cannot do this: whoever may name the image of a pod would name files of the host.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping

from crio.cli.flags import CommandLine, registries_files
from crio.core.errors import InvalidArgument
from crio.host.config.load import load_settings
from crio.host.store import open_store
from crio.main import find_program, store_options


def run_load(line: CommandLine, environ: Mapping[str, str]) -> int:
    """Print the id and the name of the image. Raises CriError: no such source, a bad one, or one that the policy does not let in."""
    if len(line.arguments) != 1:
        raise InvalidArgument(f"crio load takes one source, as oci-archive:FILE, not {len(line.arguments)} of them: see crio help load")
    from crio.host.pull.lazy import pull_engine, pull_options
    from crio.host.pull.leftlayers import LeftFile, LeftLayers
    from crio.host.pull.store import StoreThreads

    loaded = load_settings(line.config_sources(environ))
    options = pull_options(loaded.require(), registries_files(line, environ), find_program("unpack", private=True))
    store = open_store(store_options(loaded))
    threads = StoreThreads()
    try:
        # The record of the daemon is the daemon's; what a load that fails has unpacked has no next try, and goes at once.
        with tempfile.TemporaryDirectory(prefix="crio-load-") as folder:
            engine = pull_engine(store, LeftLayers(store, threads, LeftFile(folder), keep_s=0.0), options)
            try:
                result = asyncio.run(engine.load(line.arguments[0], str(line.options["name"])))
            finally:
                engine.close()
    finally:
        threads.close()
        store.shutdown()
    print(f"{result.image_id} {result.name or '<none>'}")
    return 0
