"""The text that the daemon keeps with its containers in the shared store.

It marks a store container as ours (``pod-name`` and ``pod-id`` are set) and is what other tools show. Source: containers/storage
metadata as CRI-O writes it.
"""

from __future__ import annotations

import orjson

from crio.core.codec import Json
from crio.core.config import Metadata
from crio.core.records import Container, Sandbox


def sandbox_metadata(sandbox: Sandbox, store_name: str, image_name: str, image_id: str) -> str:
    """The metadata of a sandbox's own container."""
    given = sandbox.config.metadata
    document = _common(sandbox.name, sandbox.id, store_name, given, sandbox.created_at_ns)
    document |= {"image-name": image_name, "image-id": image_id, "uid": given.uid, "namespace": given.namespace, "pod": True}
    if sandbox.privileged:
        document["privileged"] = True
    return orjson.dumps(document).decode()


def container_metadata(container: Container, sandbox: Sandbox) -> str:
    """The metadata of a workload container."""
    document = _common(sandbox.name, sandbox.id, container.name, container.config.metadata, container.created_at_ns)
    document |= {"image-name": container.image_name, "image-id": container.image_id}
    if container.config.security.privileged:
        document["privileged"] = True
    return orjson.dumps(document).decode()


def _common(pod_name: str, pod_id: str, name: str, given: Metadata, created_at_ns: int) -> dict[str, Json]:
    document: dict[str, Json] = {"pod-name": pod_name, "pod-id": pod_id, "name": name, "metadata-name": given.name}
    document["created-at"] = created_at_ns // 1_000_000_000
    if given.attempt:
        document["attempt"] = given.attempt
    return document


def is_ours(metadata: str) -> tuple[str, bool] | None:
    """(pod id, whether it is the sandbox itself) when the metadata is this daemon's kind, else None."""
    try:
        document = orjson.loads(metadata)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(document, dict) or not document.get("pod-name") or not document.get("pod-id"):
        return None
    return str(document["pod-id"]), document.get("pod") is True
