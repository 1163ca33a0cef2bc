"""``crio wipe``: remove this daemon's containers, and images, after a reboot or an upgrade. For people, never for start-up.

Only store containers with this daemon's mark are removed, and only images that they used. Source: CRI-O's wipe rules.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

import orjson

from crio import __version__
from crio.cli.flags import CommandLine
from crio.core.errors import CriError
from crio.host.config.load import load_settings
from crio.host.files import read_bounded
from crio.host.frontdoor import hold_lock
from crio.host.store import open_store
from crio.host.store.port import StorePort
from crio.main import store_options
from crio.ops.metadata import is_ours

_VERSION = re.compile(r"(\d+)\.(\d+)\.")


def version_changed(path: str, current: str = __version__) -> bool:
    """Whether the file says that another major or minor version ran here last; an empty path never does."""
    if not path:
        return False
    try:
        recorded = str(orjson.loads(read_bounded(path, 4096)))
    except (OSError, ValueError):
        return True
    before, now = _VERSION.match(recorded), _VERSION.match(current)
    return before is None or now is None or before.groups() != now.groups()


def run_wipe(line: CommandLine, environ: Mapping[str, str]) -> int:
    """Wipe what the version files say, or everything of ours with ``--force``; raises AlreadyExists beside a running daemon."""
    loaded = load_settings(line.config_sources(environ))
    settings = loaded.require()
    force = line.options["force"] is True
    wipe_images = force or version_changed(settings.root.version_file_persist)
    if not (force or wipe_images or version_changed(settings.root.version_file)):
        print("nothing to wipe: the version is the same and the node did not reboot")
        return 0
    store = open_store(store_options(loaded))
    lock_fd = hold_lock(os.path.join(settings.root.root, "crio.lock"), f"the store {settings.root.root}")
    try:
        return _wipe(store, images_too=wipe_images)
    finally:
        os.close(lock_fd)
        store.shutdown()


def _wipe(store: StorePort, *, images_too: bool) -> int:
    failures = 0
    images: set[str] = set()
    for container in store.containers():
        if is_ours(container.metadata) is None:
            continue
        try:
            store.unmount(container.id)
            store.delete_container(container.id)
            print(f"removed container {container.id}")
            images.add(container.image)
        except CriError as error:
            failures += 1
            print(f"container {container.id} stays: {error}")
    for image_id in sorted(images - {""}) if images_too else ():
        try:
            store.delete_image(image_id)
            print(f"removed image {image_id}")
        except CriError as error:
            print(f"image {image_id} stays: {error}")
    return 1 if failures else 0
