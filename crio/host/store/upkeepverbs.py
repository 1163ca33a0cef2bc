"""The store as a whole: garbage, use of the disk, end of work."""

from __future__ import annotations

import contextlib
import os

from crio.core.storage.ids import is_id
from crio.host.store.containerverbs import ContainerVerbs
from crio.host.store.options import FsUsage
from crio.host.store.parts import STABLE, Parts
from crio.host.store.staging import remove_area, stale_areas

REAP_WAIT_S = 30.0
_TAR_SPLIT = ".tar-split.gz"


class UpkeepVerbs(ContainerVerbs):
    """The part of a store that deals with the store itself."""

    def garbage_collect(self) -> list[str]:
        """Remove data that no record knows: layer directories, tar-split files, data directories. Returns what was removed."""
        parts = self._parts
        found: list[str] = []
        with contextlib.ExitStack() as stack:
            layers = stack.enter_context(parts.layers.writing()).table
            images = stack.enter_context(parts.images.writing()).table
            containers = stack.enter_context(parts.containers.writing()).table
            for source in {STABLE, parts.image_source}:
                driver = parts.driver_of(source)
                known = {layer.id for layer in layers.records}
                orphans = (set(driver.layer_ids()) | _ids_in(parts.layers_path_of(source))) - known
                for layer_id in sorted(orphans):
                    parts.reaper.submit(*parts.set_aside_layer(layer_id, source))
                    found.append(f"{driver.home}/{layer_id}")
            for folder, ids in (
                (parts.places.images, images.by_id.keys()),
                (parts.places.containers, containers.by_id.keys()),
                (parts.places.run_containers, containers.by_id.keys()),
            ):
                for name in sorted(_ids_in(folder) - set(ids)):
                    parts.reaper.submit(parts.area(folder).set_aside(f"{folder}/{name}"))
                    found.append(f"{folder}/{name}")
        return found

    def remove_stale_areas(self) -> None:
        """Remove staging areas of processes that are dead. Called once after opening; no lock is needed."""
        for home in self._parts.homes:
            for area in stale_areas(home):
                remove_area(area)

    def usage(self) -> FsUsage:
        """Return the use of the file system that has the images, from its own counters."""
        path = self._parts.places.images
        return _usage(path)

    def container_usage(self) -> FsUsage:
        """Return the use of the file system that has the containers; the same one unless the image store is split."""
        return _usage(self._parts.places.containers)

    def wait_removed(self, timeout_s: float = REAP_WAIT_S) -> bool:
        """Wait until everything that was deleted is off the disk; False when that took too long."""
        return self._parts.reaper.wait(timeout_s)

    def shutdown(self) -> None:
        """Finish removals, undo the home's mount when no layer is mounted, close what is open. Containers stay as they are."""
        parts = self._parts
        parts.reaper.wait(REAP_WAIT_S)
        mounted = any(mount.count > 0 for mount in parts.mounts.entries())
        parts.close()
        if not mounted:
            with parts.graph_lock.writing():
                for driver in {id(one): one for one in (parts.driver, parts.image_driver)}.values():
                    driver.release()


def open_parts(parts: Parts) -> None:
    """Make the driver's directories and load every index once, which drops what dead processes left unfinished."""
    with parts.graph_lock.writing():
        parts.driver.prepare()
        if parts.image_driver is not parts.driver:
            parts.image_driver.prepare()
    with parts.layers.writing(), parts.images.reading(), parts.containers.reading():
        pass


def _ids_in(folder: str) -> set[str]:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
    return {name for name in (name.removesuffix(_TAR_SPLIT) for name in names) if is_id(name)}


def _usage(path: str) -> FsUsage:
    counters = os.statvfs(path)
    return FsUsage(
        path=path,
        used_bytes=(counters.f_blocks - counters.f_bfree) * counters.f_frsize,
        used_inodes=counters.f_files - counters.f_ffree,
        total_bytes=counters.f_blocks * counters.f_frsize,
        total_inodes=counters.f_files,
    )
