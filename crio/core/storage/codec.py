"""Records to the JSON objects of the store and back.

A decoder takes the keys that it knows and keeps the rest; an encoder writes the known keys in the format's order, leaves the
empty ones out, and adds what was kept. What is decoded and encoded again is the same object.

Source: the containers/storage index format (layers.json, images.json, containers.json, mountpoints.json).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from crio.core.storage.jsonvalue import DamagedStore, Fields, JsonValue
from crio.core.storage.records import ContainerRecord, IdMap, ImageRecord, LayerRecord, MountPoint

_LAYER_KEYS = frozenset(
    [
        "id",
        "names",
        "parent",
        "metadata",
        "mountlabel",
        "created",
        "compressed-diff-digest",
        "compressed-size",
        "diff-digest",
        "toc-digest",
        "diff-size",
        "compression",
        "uidset",
        "gidset",
        "flags",
        "uidmap",
        "gidmap",
        "big-data-names",
    ]
)
_IMAGE_KEYS = frozenset(
    [
        "id",
        "digest",
        "names",
        "names-history",
        "layer",
        "mapped-layers",
        "metadata",
        "big-data-names",
        "big-data-sizes",
        "big-data-digests",
        "created",
        "flags",
    ]
)
_CONTAINER_KEYS = frozenset(
    [
        "id",
        "names",
        "image",
        "layer",
        "metadata",
        "big-data-names",
        "big-data-sizes",
        "big-data-digests",
        "created",
        "uidmap",
        "gidmap",
        "flags",
    ]
)
_MOUNT_KEYS = frozenset(["id", "path", "count"])
_MAP_KEYS = frozenset(["container_id", "host_id", "size"])


def decode_layer(value: JsonValue, what: str) -> LayerRecord:
    """Return the layer that one object of ``layers.json`` describes; ``what`` names the file in errors."""
    fields = Fields(value, _LAYER_KEYS, what)
    diff_size = fields.number("diff-size")
    return LayerRecord(
        id=fields.needed_text("id"),
        names=fields.texts("names"),
        parent=fields.text("parent") or None,
        metadata=fields.text("metadata"),
        mount_label=fields.text("mountlabel"),
        created=fields.text("created"),
        compressed_digest=fields.text("compressed-diff-digest"),
        compressed_size=fields.number("compressed-size"),
        diff_digest=fields.text("diff-digest"),
        diff_size=None if diff_size < 0 else diff_size,
        toc_digest=fields.text("toc-digest"),
        compression=fields.number("compression"),
        uids=fields.numbers("uidset"),
        gids=fields.numbers("gidset"),
        flags=fields.object("flags"),
        uid_map=_decode_maps(fields.objects("uidmap"), what),
        gid_map=_decode_maps(fields.objects("gidmap"), what),
        big_data_names=fields.texts("big-data-names"),
        extra=fields.rest(),
    )


def encode_layer(layer: LayerRecord) -> dict[str, JsonValue]:
    """Return the object of ``layers.json`` for ``layer``."""
    return {
        "id": layer.id,
        **_texts("names", layer.names),
        **_filled("parent", layer.parent or ""),
        **_filled("metadata", layer.metadata),
        **_filled("mountlabel", layer.mount_label),
        "created": layer.created,
        **_filled("compressed-diff-digest", layer.compressed_digest),
        **_filled("compressed-size", layer.compressed_size),
        **_filled("diff-digest", layer.diff_digest),
        **_filled("toc-digest", layer.toc_digest),
        **_filled("diff-size", -1 if layer.diff_size is None else layer.diff_size),
        **_filled("compression", int(layer.compression)),
        **_filled("uidset", list(layer.uids)),
        **_filled("gidset", list(layer.gids)),
        **_filled("flags", dict(layer.flags)),
        **_filled("uidmap", _encode_maps(layer.uid_map)),
        **_filled("gidmap", _encode_maps(layer.gid_map)),
        **_texts("big-data-names", layer.big_data_names),
        **layer.extra,
    }


def decode_image(value: JsonValue, what: str) -> ImageRecord:
    """Return the image that one object of ``images.json`` describes."""
    fields = Fields(value, _IMAGE_KEYS, what)
    return ImageRecord(
        id=fields.needed_text("id"),
        digest=fields.text("digest"),
        names=fields.texts("names"),
        names_history=fields.texts("names-history"),
        layer=fields.text("layer"),
        mapped_layers=fields.texts("mapped-layers"),
        metadata=fields.text("metadata"),
        big_data_names=fields.texts("big-data-names"),
        big_data_sizes=fields.number_map("big-data-sizes"),
        big_data_digests=fields.text_map("big-data-digests"),
        created=fields.text("created"),
        flags=fields.object("flags"),
        extra=fields.rest(),
    )


def encode_image(image: ImageRecord) -> dict[str, JsonValue]:
    """Return the object of ``images.json`` for ``image``."""
    return {
        "id": image.id,
        **_filled("digest", image.digest),
        **_texts("names", image.names),
        **_texts("names-history", image.names_history),
        **_filled("layer", image.layer),
        **_texts("mapped-layers", image.mapped_layers),
        **_filled("metadata", image.metadata),
        **_big_data(image.big_data_names, image.big_data_sizes, image.big_data_digests),
        **_filled("created", image.created),
        **_filled("flags", dict(image.flags)),
        **image.extra,
    }


def decode_container(value: JsonValue, what: str) -> ContainerRecord:
    """Return the container that one object of ``containers.json`` describes."""
    fields = Fields(value, _CONTAINER_KEYS, what)
    return ContainerRecord(
        id=fields.needed_text("id"),
        names=fields.texts("names"),
        image=fields.text("image"),
        layer=fields.text("layer"),
        metadata=fields.text("metadata"),
        big_data_names=fields.texts("big-data-names"),
        big_data_sizes=fields.number_map("big-data-sizes"),
        big_data_digests=fields.text_map("big-data-digests"),
        created=fields.text("created"),
        uid_map=_decode_maps(fields.objects("uidmap"), what),
        gid_map=_decode_maps(fields.objects("gidmap"), what),
        flags=fields.object("flags"),
        extra=fields.rest(),
    )


def encode_container(container: ContainerRecord) -> dict[str, JsonValue]:
    """Return the object of ``containers.json`` for ``container``."""
    return {
        "id": container.id,
        **_texts("names", container.names),
        "image": container.image,
        "layer": container.layer,
        **_filled("metadata", container.metadata),
        **_big_data(container.big_data_names, container.big_data_sizes, container.big_data_digests),
        **_filled("created", container.created),
        **_filled("uidmap", _encode_maps(container.uid_map)),
        **_filled("gidmap", _encode_maps(container.gid_map)),
        **_filled("flags", dict(container.flags)),
        **container.extra,
    }


def decode_mount(value: JsonValue, what: str) -> MountPoint:
    """Return the mount count that one object of ``mountpoints.json`` describes."""
    fields = Fields(value, _MOUNT_KEYS, what)
    return MountPoint(layer=fields.needed_text("id"), path=fields.text("path"), count=fields.number("count"))


def encode_mount(mount: MountPoint) -> dict[str, JsonValue]:
    """Return the object of ``mountpoints.json`` for ``mount``."""
    return {"id": mount.layer, **_filled("path", mount.path), "count": mount.count}


def records_of(value: JsonValue, what: str) -> list[JsonValue]:
    """Return the items of an index file; ``null`` is an empty one. Raises DamagedStore for anything but an array."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise DamagedStore(f"{what}: expected a JSON array, found {type(value).__name__}")
    return value


def _decode_maps(values: Iterable[JsonValue], what: str) -> tuple[IdMap, ...]:
    maps = []
    for value in values:
        fields = Fields(value, _MAP_KEYS, what)
        maps.append(IdMap(fields.number("container_id"), fields.number("host_id"), fields.number("size")))
    return tuple(maps)


def _encode_maps(maps: tuple[IdMap, ...]) -> list[JsonValue]:
    return [{"container_id": one.container_id, "host_id": one.host_id, "size": one.size} for one in maps]


def _filled(key: str, value: JsonValue) -> dict[str, JsonValue]:
    return {key: value} if value else {}


def _texts(key: str, values: tuple[str, ...]) -> dict[str, JsonValue]:
    return {key: list(values)} if values else {}


def _big_data(names: tuple[str, ...], sizes: Mapping[str, int], digests: Mapping[str, str]) -> dict[str, JsonValue]:
    return {
        **_texts("big-data-names", names),
        **_filled("big-data-sizes", dict(sizes)),
        **_filled("big-data-digests", dict(digests)),
    }
