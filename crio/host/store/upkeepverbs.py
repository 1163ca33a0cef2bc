"""The store as a whole: garbage, use of the disk, end of work."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from crio.core.errors import CriError, InvalidArgument, NotFound
from crio.core.storage.deletion import needed_layers, plan_left
from crio.core.storage.findings import Finding
from crio.core.storage.ids import is_id
from crio.core.storage.repair import plan_repair
from crio.host.store.check import find_damage
from crio.host.store.containerverbs import ContainerVerbs
from crio.host.store.diskerrors import disk_errors
from crio.host.store.files import TEMPORARY_PREFIX
from crio.host.store.layerverbs import Staged
from crio.host.store.options import FsUsage, LayerCommit
from crio.host.store.parts import STABLE, Parts
from crio.host.store.port import StagedLayer
from crio.host.store.staging import remove_area, stale_areas

REAP_WAIT_S = 30.0
_TAR_SPLIT = ".tar-split.gz"


class UpkeepVerbs(ContainerVerbs):
    """The part of a store that deals with the store itself."""

    def garbage_collect(self) -> list[str]:
        """Remove data that no record knows: layer directories, tar-split files, data directories, unfinished records.

        Returns what was removed.
        """
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
            # Whoever writes a record holds its lock until the rename, and all locks are held here.
            places = parts.places
            folders = {*map(parts.layers_path_of, (STABLE, parts.image_source)), places.images, places.containers}
            for folder in folders | {places.volatile_layers, places.volatile_containers}:
                for path in sorted(_unfinished_in(folder)):
                    os.unlink(path)
                    found.append(path)
        return found

    def needed_layers(self) -> frozenset[str]:
        """Return every layer of the own store that an image or a container has, at the top or below."""
        parts = self._parts
        return needed_layers(parts.layers.view(), parts.images.view(), parts.containers.view())

    @disk_errors
    def delete_left_layers(self, wanted: Mapping[str, int]) -> frozenset[str]:
        """Remove those of the ``wanted`` layers (id to time of creation, ns) that nothing needs.

        Returns those that nothing needs but a layer on top of them; every other is gone, in use, or of somebody else.
        """
        parts = self._parts
        aside: list[str | None] = []
        with parts.layers.writing() as edit, parts.images.reading() as images, parts.containers.reading() as containers:
            plan = plan_left(wanted, edit.table, images, containers)
            sources = {layer: edit.table.source_of(layer) or STABLE for layer in plan.gone}
            if plan.gone:
                edit.remove(plan.gone)
                edit.save()
            for layer, source in sources.items():
                aside += parts.set_aside_layer(layer, source)
        parts.reaper.submit(*aside)
        return plan.waiting

    def check(self, quick: bool) -> tuple[Finding, ...]:
        """Compare records and disk; ``quick`` leaves out the reading of contents. Nothing is changed."""
        return find_damage(self._parts, quick)

    def repair(self, findings: Sequence[Finding]) -> tuple[str, ...]:
        """Remove what ``findings`` say is damaged and what lies on it; returns one sentence per removal or refusal.

        A container that is mounted stays, with everything below it: people decide about running work. A layer that can be had
        again is better mended (``mend_layer``) before this is called.
        """
        parts = self._parts
        plan = plan_repair(findings, parts.layers.view(), parts.images.view(), parts.containers.view())
        done: list[str] = []
        for container_id in plan.containers:
            if self.mount_path(container_id) is not None:
                done.append(f"container {container_id} is mounted and was left as it is")
            else:
                self.delete_container(container_id)
                done.append(f"removed container {container_id}")
        for image_id in plan.images:
            done.append(_attempt(f"image {image_id}", functools.partial(self.delete_image, image_id)))
        for layer_id in plan.layers:
            if layer_id in parts.layers.view().by_id:
                done.append(_attempt(f"layer {layer_id}", functools.partial(self.delete_layer, layer_id)))
        if plan.orphans:
            done += [f"removed {path}" for path in self.garbage_collect()]
        return tuple(done)

    @disk_errors
    def mend_layer(self, layer_id: str, staged: StagedLayer, commit: LayerCommit) -> None:
        """Put fresh content into a damaged layer, under its id and link, so that everything above it works again.

        Raises NotFound when it has no record, InvalidArgument when ``commit`` is not of the same content.
        """
        assert isinstance(staged, Staged)
        parts = self._parts
        with parts.layers.writing() as edit:
            record = edit.table.by_id.get(layer_id)
            if record is None:
                raise NotFound(f"layer {layer_id} is not in the store")
            if record.diff_digest != commit.diff_id:
                raise InvalidArgument(f"layer {layer_id} has content {record.diff_digest}, cannot be mended with {commit.diff_id}")
            source = edit.table.source_of(layer_id) or STABLE
            children = edit.table.children.get(layer_id, [])
            parts.driver_of(source).mend(staged.place, layer_id, record.parent, children)
            os.rename(staged.tar_split_path, parts.tar_split(layer_id, source))
            edit.replace(replace(record, diff_size=commit.diff_size))
            edit.save()
        staged.discard()

    def remove_stale_areas(self) -> None:
        """Remove staging areas of processes that are dead. Called once after opening; no lock is needed.

        Their owner may have died between giving a layer its place and recording it, so data without a record goes, too.
        """
        stale = [area for home in self._parts.homes for area in stale_areas(home)]
        for area in stale:
            remove_area(area)
        if stale:
            self.garbage_collect()

    def usage(self) -> FsUsage:
        """Return the use of the file system that has the images, from its own counters."""
        path = self._parts.places.images
        return _usage(path)

    def container_usage(self) -> FsUsage:
        """Return the use of the file system that has the containers; the same answer unless the image store is split."""
        places = self._parts.places
        return _usage(places.containers if places.split else places.images)

    def wait_removed(self, timeout_s: float = REAP_WAIT_S) -> bool:
        """Wait until everything that was deleted is off the disk; False when that took too long."""
        return self._parts.reaper.wait(timeout_s)

    def shutdown(self) -> None:
        """Finish removals, undo the home's mount when no layer is mounted, close what is open. Containers stay as they are."""
        parts = self._parts
        try:
            parts.reaper.wait(REAP_WAIT_S)
            mounted = any(mount.count > 0 for mount in parts.mounts.entries())
            if not mounted:
                with parts.graph_lock.writing():
                    parts.release_drivers()
        finally:
            parts.close()


def open_parts(parts: Parts) -> None:
    """Make the driver's directories and load every index once, which drops what dead processes left unfinished."""
    with parts.graph_lock.writing():
        parts.driver.prepare()
        if parts.image_driver is not parts.driver:
            parts.image_driver.prepare()
    with parts.layers.writing(), parts.images.reading(), parts.containers.reading():
        pass


def _attempt(what: str, removal: Callable[[], None]) -> str:
    try:
        removal()
    except CriError as error:
        return f"{what} was left as it is: {error}"
    return f"removed {what}"


def _ids_in(folder: str) -> set[str]:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
    return {name for name in (name.removesuffix(_TAR_SPLIT) for name in names) if is_id(name)}


def _unfinished_in(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.path for entry in entries if entry.name.startswith(TEMPORARY_PREFIX) and entry.is_file(follow_symlinks=False)]


def _usage(path: str) -> FsUsage:
    counters = os.statvfs(path)
    return FsUsage(
        path=path,
        used_bytes=(counters.f_blocks - counters.f_bfree) * counters.f_frsize,
        used_inodes=counters.f_files - counters.f_ffree,
        total_bytes=counters.f_blocks * counters.f_frsize,
        total_inodes=counters.f_files,
    )
