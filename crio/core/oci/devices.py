"""Device nodes of a container and what its device cgroup allows."""

from __future__ import annotations

from collections.abc import Iterable

from crio.core.errors import InvalidArgument
from crio.core.oci.document import Document
from crio.core.oci.inputs import ContainerSpecRequest, DeviceKind, DeviceNode


def container_devices(request: ContainerSpecRequest) -> tuple[DeviceNode, ...]:
    """The nodes to make: the host's for a privileged container, then those of the request; the later one at a path wins.

    :raises InvalidArgument: unusable path or access letters
    """
    nodes = [*request.host_devices] if all_devices(request) else []
    found = {node.path: node for node in nodes}
    for node in request.devices:
        if not node.path.startswith("/") or ".." in node.path.split("/"):
            raise InvalidArgument(f"device container_path {node.path!r} is not usable: expected an absolute path")
        if not node.access or set(node.access) - set("rwm"):
            raise InvalidArgument(f"device {node.path!r} has permissions {node.access!r}: expected letters of 'rwm'")
        found[node.path] = node
    return tuple(found.values())


def all_devices(request: ContainerSpecRequest) -> bool:
    """Whether the container gets every device of the host."""
    return request.config.security.privileged and not request.handler.privileged_without_host_devices


def device_documents(nodes: Iterable[DeviceNode]) -> list[Document]:
    """The ``linux.devices`` list."""
    documents: list[Document] = []
    for node in nodes:
        document: Document = {"path": node.path, "type": node.kind.value}
        if node.kind is not DeviceKind.FIFO:
            document |= {"major": node.major, "minor": node.minor}
        documents.append(document | {"fileMode": node.mode & 0o7777, "uid": node.uid, "gid": node.gid})
    return documents


def device_rules(nodes: Iterable[DeviceNode], everything: bool) -> list[Document]:
    """The ``linux.resources.devices`` list: nothing but the container's own nodes, or everything.

    The standard nodes (null, zero, random …) are allowed by the runtime.
    """
    if everything:
        return [{"allow": True, "access": "rwm"}]
    rules: list[Document] = [{"allow": False, "access": "rwm"}]
    rules += [
        {"allow": True, "type": node.kind.value, "major": node.major, "minor": node.minor, "access": node.access}
        for node in nodes
        if node.kind is not DeviceKind.FIFO
    ]
    return rules
