"""Containers: records, writable layers, mounts, directories."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from crio.core.errors import AlreadyExists, InvalidArgument, NotFound
from crio.core.storage.deletion import InUse
from crio.core.storage.ids import is_id
from crio.core.storage.jsonvalue import JsonValue
from crio.core.storage.records import ContainerRecord, LayerRecord
from crio.core.storage.tables import ContainerTable, LayerTable
from crio.host.store.diskerrors import disk_errors
from crio.host.store.drivers.port import LayerLimits, MountRequest
from crio.host.store.files import make_directory
from crio.host.store.imageverbs import ImageVerbs
from crio.host.store.layerverbs import now_text, random_id
from crio.host.store.mounts import MountEdit
from crio.host.store.options import ContainerCreate
from crio.host.store.parts import STABLE, VOLATILE
from crio.host.store.quota import TreeUsage


class ContainerVerbs(ImageVerbs):
    """The part of a store that deals with containers."""

    @disk_errors
    def create_container(self, create: ContainerCreate) -> ContainerRecord:
        """Record a container and make its writable layer.

        Raises InvalidArgument for a bad id, NotFound for an unknown image, AlreadyExists naming who has the id or a name.
        """
        if not is_id(create.id):
            raise InvalidArgument(f"container id is {create.id!r}, expected 64 hex digits")
        parts = self._parts
        if parts.options.transient:
            create = replace(create, volatile=True)
        with contextlib.ExitStack() as stack:
            layers = stack.enter_context(parts.layers.writing())
            stack.enter_context(parts.images.reading())
            parent = self._top_layer(create.image_id)
            containers = stack.enter_context(parts.containers.writing())
            _refuse_taken(create, containers.table, layers.table)
            source = VOLATILE if parts.options.transient or (create.volatile and not parts.options.stable_records) else STABLE
            layer = _layer_of(create, parent) if create.layer_needed else None
            undo = stack.enter_context(contextlib.ExitStack())
            if layer is not None:
                parts.driver.create(layer.id, parent, LayerLimits(create.size_bytes))
                undo.callback(lambda: parts.reaper.submit(*parts.set_aside_layer(layer.id, source)))
                layers.add(layer, source)
                layers.save(settle=False)
            record = _container_of(create, layer.id if layer is not None else "")
            containers.add(record, source)
            try:
                containers.save(settle=False)
            except BaseException:
                if layer is not None:
                    layers.remove([layer.id])
                    layers.save(settle=False)
                raise
            undo.pop_all()
            return record

    def containers(self) -> tuple[ContainerRecord, ...]:
        """Return the containers of every program that uses the store."""
        return self._parts.containers.view().records

    def container(self, id_or_name: str) -> ContainerRecord | None:
        """Return the container with this id or name."""
        return self._parts.containers.view().find(id_or_name)

    @disk_errors
    def mount(self, container_id: str, userns_path: str = "") -> str:
        """Mount a container's root file system, or count one more use of it; returns its path.

        ``userns_path`` names a user namespace whose mapping the files are shown with. Raises NotFound, Internal when the kernel
        refuses.
        """
        record = self.container(container_id)
        if record is None:
            raise NotFound(f"container {container_id} is not in the store")
        request = MountRequest(layer_id=record.layer, volatile=record.volatile, label=record.mount_label, userns_path=userns_path)
        return self._mount(request)

    @disk_errors
    def unmount(self, container_id: str, force: bool = True) -> None:
        """Unmount a container's root; without ``force`` only when this was the last use. Unknown or unmounted: nothing."""
        record = self.container(container_id)
        if record is not None and record.layer:
            self._unmount(record.layer, force)

    @disk_errors
    def mount_image(self, image_id: str, label: str = "") -> str:
        """Mount an image read-only, or count one more use of it; returns the path of its tree. Raises NotFound."""
        layer = self._top_layer(image_id)
        if layer is None:
            raise NotFound(f"image {image_id} has no layer to mount")
        return self._mount(MountRequest(layer_id=layer, read_only=True, label=label))

    @disk_errors
    def unmount_image(self, image_id: str, force: bool = False) -> None:
        """Undo one ``mount_image``, or all of them with ``force``."""
        record = self.image(image_id)
        if record is not None and record.layer:
            self._unmount(record.layer, force)

    @disk_errors
    def delete_container(self, container_id: str) -> None:
        """Remove a container's record, layer, mounts and both directories. One that does not exist is removed already.

        Raises InUse when another layer lies on the container's.
        """
        parts = self._parts
        aside: list[str | None] = []
        with contextlib.ExitStack() as stack:
            layers = stack.enter_context(parts.layers.writing())
            containers = stack.enter_context(parts.containers.writing())
            record = containers.table.find(container_id)
            full_id = record.id if record is not None else container_id
            if record is not None and record.layer:
                aside += self._remove_layer(layers.table, record)
                layers.remove([record.layer])
                layers.save(settle=False)
            if record is not None:
                containers.remove([record.id])
                containers.save(settle=False)
            if is_id(full_id):
                for folder in (parts.places.containers, parts.places.run_containers):
                    aside.append(parts.area(folder).set_aside(f"{folder}/{full_id}"))
        parts.reaper.submit(*aside)

    @disk_errors
    def container_dir(self, container_id: str) -> str:
        """Return the directory that a container keeps over reboots; it is made when missing."""
        return _userdata(self._parts.places.containers, container_id)

    @disk_errors
    def run_dir(self, container_id: str) -> str:
        """Return the directory that a container keeps until the next boot; it is made when missing."""
        return _userdata(self._parts.places.run_containers, container_id)

    @disk_errors
    def set_container_metadata(self, container_id: str, metadata: str) -> ContainerRecord:
        """Replace the owner's text of a container. Raises NotFound."""
        with self._parts.containers.writing() as edit:
            record = edit.table.find(container_id)
            if record is None:
                raise NotFound(f"container {container_id} is not in the store")
            edit.replace(replace(record, metadata=metadata))
            edit.save(settle=False)
            return edit.table.by_id[record.id]

    def mount_path(self, container_id: str) -> str | None:
        """Return where the container is mounted, None when it is not (whoever unmounted it)."""
        record = self.container(container_id)
        if record is None or not record.layer or not self._parts.driver.mounted(record.layer):
            return None
        if not self.traits.mounts and all(mount.layer != record.layer for mount in self._parts.mounts.entries()):
            return None
        return self._parts.driver.mount_path(record.layer)

    def writable_usage(self, container_id: str) -> TreeUsage | None:
        """Return what a container has written to its layer, from the file system's counters; None where it has none."""
        record = self.container(container_id)
        return self._parts.driver.usage(record.layer) if record is not None and record.layer else None

    def _mount(self, request: MountRequest) -> str:
        parts = self._parts
        with self._mount_locks() as (layers, counts):
            if request.layer_id not in layers.by_id:
                raise NotFound(f"layer {request.layer_id} is not in the store")
            driver = parts.driver_of(layers.source_of(request.layer_id) or 0)
            count = counts.count(request.layer_id)
            if driver.mounted(request.layer_id):
                path = driver.mount_path(request.layer_id)
            else:
                count = 0
                path = driver.mount(request)
            counts.put(request.layer_id, path, count + 1)
            return path

    def _unmount(self, layer_id: str, force: bool) -> None:
        parts = self._parts
        with parts.layers.writing() as edit, parts.mounts.editing() as counts:
            count = counts.count(layer_id)
            if count > 1 and not force:
                counts.put(layer_id, parts.driver.mount_path(layer_id), count - 1)
                return
            parts.driver_of(edit.table.source_of(layer_id) or 0).unmount(layer_id)
            counts.put(layer_id, "", 0)

    @contextlib.contextmanager
    def _mount_locks(self) -> Iterator[tuple[LayerTable, MountEdit]]:
        parts = self._parts
        with parts.graph_lock.writing(), parts.layers.writing() as edit, parts.mounts.editing() as counts:
            yield edit.table, counts

    def _remove_layer(self, layers: LayerTable, record: ContainerRecord) -> list[str | None]:
        """Unmount a container's layer and rename its files away; ``layers.lock`` is held."""
        parts = self._parts
        above = layers.children.get(record.layer)
        if above:
            raise InUse(f"container {record.id}: layer {above[0]} lies on its layer {record.layer}: remove that one first")
        source = layers.source_of(record.layer)
        driver = parts.driver_of(source or 0)
        with parts.mounts.editing() as counts:
            if counts.count(record.layer) or driver.mounted(record.layer):
                driver.unmount(record.layer)
            counts.put(record.layer, "", 0)
        return parts.set_aside_layer(record.layer, source or 0)

    def _top_layer(self, image_id: str) -> str | None:
        if not image_id:
            return None
        image = self.image(image_id)
        if image is None:
            raise NotFound(f"image {image_id} is not in the store")
        return image.layer or None


def _refuse_taken(create: ContainerCreate, containers: ContainerTable, layers: LayerTable) -> None:
    for key in (create.id, *create.names):
        other = containers.find(key)
        if other is not None:
            raise AlreadyExists(f"container name or id {key!r} is in use by container {other.id}")
    name = _layer_name(create)
    if name and name in layers.by_name:
        raise AlreadyExists(f"layer name {name!r} is in use by layer {layers.by_name[name].id}")


def _layer_name(create: ContainerCreate) -> str:
    return f"{create.names[0]}-layer" if create.names else ""


def _layer_of(create: ContainerCreate, parent: str | None) -> LayerRecord:
    name = _layer_name(create)
    return LayerRecord(
        id=random_id(),
        created=now_text(),
        names=(name,) if name else (),
        parent=parent,
        mount_label=create.mount_label,
        uid_map=create.uid_map,
        gid_map=create.gid_map,
    )


def _container_of(create: ContainerCreate, layer_id: str) -> ContainerRecord:
    flags: dict[str, JsonValue] = {"MountLabel": create.mount_label, "ProcessLabel": create.process_label}
    if create.volatile:
        flags["Volatile"] = True
    return ContainerRecord(
        id=create.id,
        created=now_text(),
        names=create.names,
        image=create.image_id,
        layer=layer_id,
        metadata=create.metadata,
        uid_map=create.uid_map,
        gid_map=create.gid_map,
        flags=flags,
    )


def _userdata(folder: str, container_id: str) -> str:
    if not is_id(container_id):
        raise InvalidArgument(f"container id is {container_id!r}, expected 64 hex digits")
    path = f"{folder}/{container_id}/userdata"
    try:
        make_directory(path)
    except FileNotFoundError:
        make_directory(f"{folder}/{container_id}")
        make_directory(path)
    return path
