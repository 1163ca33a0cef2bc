"""The image and container store on disk, shared with podman, skopeo, buildah and CRI-O.

``open_store`` gives a ``Store``; its verbs and their errors are described in ``port`` and in the verb modules. The format is not
ours: see the records in ``crio.core.storage``.
"""

from __future__ import annotations

from crio.core.storage.deletion import InUse
from crio.core.storage.findings import Damage, Finding, Kind
from crio.core.storage.jsonvalue import DamagedStore
from crio.core.storage.lookup import repo_digests, repo_tags
from crio.core.storage.records import ContainerRecord, IdMap, ImageRecord, LayerRecord
from crio.host.store.drivers.port import Traits
from crio.host.store.options import ContainerCreate, FsUsage, ImageCommit, LayerCommit, StoreOptions
from crio.host.store.port import StagedLayer, StorePort
from crio.host.store.store import Store, open_store

__all__ = [
    "ContainerCreate",
    "ContainerRecord",
    "Damage",
    "DamagedStore",
    "Finding",
    "FsUsage",
    "IdMap",
    "ImageCommit",
    "ImageRecord",
    "InUse",
    "Kind",
    "LayerCommit",
    "LayerRecord",
    "StagedLayer",
    "Store",
    "StoreOptions",
    "StorePort",
    "Traits",
    "open_store",
    "repo_digests",
    "repo_tags",
]
