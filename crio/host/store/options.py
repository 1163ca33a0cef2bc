"""What callers give to the store and get from it: frozen values, one class per operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from crio.core.storage.records import IdMap


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """Where the store is. ``options`` are ``driver.key=value`` strings as in the daemon's ``storage_option``.

    ``stable_records`` writes containers to ``containers.json`` and ``layers.json`` even when they are volatile. Tools of the
    oldest generation (podman 4.3) do not read the volatile files: they would remove an image under a running container, and when
    they end they unmount the driver's home with every mount below that they do not know. Newer tools read both. Switching it off
    saves two fsyncs per container on machines that have none of the old tools and neither ext4 nor btrfs.

    ``transient`` is ``transient_store`` of storage.conf: every container is volatile, and the volatile records and the lock of the
    containers are in the run root, where the other tools then have them, too. A reboot takes all containers.
    """

    root: str
    runroot: str
    driver: str = "overlay"
    options: tuple[str, ...] = ()
    imagestore: str = ""
    additional_stores: tuple[str, ...] = ()
    stable_records: bool = True
    transient: bool = False


@dataclass(frozen=True, slots=True)
class LayerCommit:
    """What is known of a layer once it is unpacked. Digests are ``algorithm:hex``; sizes in bytes; ids as found in the tar.

    ``root_in_tar``: the tar has an entry for the root itself; otherwise the root gets mode and owner of the parent's.
    ``created_at_ns`` is the time that the record gets, by which whoever chose it knows the layer again; 0 is the time of the commit.
    """

    parent: str | None
    diff_id: str
    diff_size: int
    blob_digest: str = ""
    blob_size: int = 0
    compression: int = 0
    uids: Sequence[int] = ()
    gids: Sequence[int] = ()
    root_in_tar: bool = False
    created_at_ns: int = 0


@dataclass(frozen=True, slots=True)
class ImageCommit:
    """An image whose layers are committed. ``manifests`` maps digests to bytes: the instance and the index it came through.

    ``digest`` is that of the manifest that was asked for (the index, if there was one); ``instance_digest`` names the manifest of
    exactly this image's layers. ``signatures`` maps a manifest's digest to its signature blobs.
    """

    image_id: str
    top_layer: str
    names: tuple[str, ...]
    digest: str
    created: str
    config_digest: str
    config: bytes
    manifests: Mapping[str, bytes]
    instance_digest: str
    signatures: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContainerCreate:
    """A container to record. With ``layer_needed`` it gets a writable layer on top of its image's top layer.

    ``size_bytes`` limits the writable layer (0: the driver option's limit, or none).
    """

    id: str
    names: tuple[str, ...]
    image_id: str
    metadata: str
    volatile: bool = True
    mount_label: str = ""
    process_label: str = ""
    uid_map: tuple[IdMap, ...] = ()
    gid_map: tuple[IdMap, ...] = ()
    layer_needed: bool = True
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class FsUsage:
    """Use of the file system below ``path``: bytes and inodes, from counters of the file system."""

    path: str
    used_bytes: int
    used_inodes: int
    total_bytes: int
    total_inodes: int
