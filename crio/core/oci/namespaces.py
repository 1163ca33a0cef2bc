"""Which namespaces a container joins, makes or shares with the host.

Network and ipc are the pod's affair, so the sandbox's modes decide; the pid mode is the container's own. The host name always
lives in a namespace of the pod, so that no container renames the host.
"""

from __future__ import annotations

from crio.core.config import NamespaceMode, NamespaceOptions, UserNamespace
from crio.core.errors import FailedPrecondition, InvalidArgument
from crio.core.oci.document import Document
from crio.core.oci.inputs import NamespaceJoins


def container_namespaces(
    wanted: NamespaceOptions, sandbox: NamespaceOptions, joins: NamespaceJoins, private_cgroup: bool
) -> list[Document]:
    """The ``linux.namespaces`` of a container.

    :raises FailedPrecondition: the namespace to share does not exist
    """
    namespaces = _pod_namespaces(sandbox, joins)
    namespaces += _pid(wanted, sandbox, joins)
    return namespaces + _own(private_cgroup, userns_of(sandbox), joins)


def sandbox_namespaces(sandbox: NamespaceOptions, joins: NamespaceJoins, private_cgroup: bool) -> list[Document]:
    """The ``linux.namespaces`` of a sandbox's own process; it makes the pid namespace that the pod shares."""
    namespaces = _pod_namespaces(sandbox, joins)
    if sandbox.pid is not NamespaceMode.NODE:
        namespaces.append({"type": "pid"})
    return namespaces + _own(private_cgroup, userns_of(sandbox), joins)


def userns_of(sandbox: NamespaceOptions) -> UserNamespace | None:
    """The pod's user namespace, None when it uses the host's.

    :raises InvalidArgument: a mode that does not exist for user namespaces, or no ranges
    """
    userns = sandbox.userns
    if userns is None or userns.mode is NamespaceMode.NODE:
        return None
    if userns.mode is not NamespaceMode.POD:
        raise InvalidArgument(f"userns_options.mode {userns.mode.name} is not possible: expected POD or NODE")
    if not userns.uids or not userns.gids:
        raise InvalidArgument("userns_options has no uids or no gids: expected at least one range of each for mode POD")
    return userns


def _pod_namespaces(sandbox: NamespaceOptions, joins: NamespaceJoins) -> list[Document]:
    namespaces: list[Document] = [{"type": "mount"}, _join("uts", joins.uts)]
    if sandbox.network is not NamespaceMode.NODE:
        namespaces.append(_join("network", joins.net))
    if sandbox.ipc is not NamespaceMode.NODE:
        namespaces.append(_join("ipc", joins.ipc))
    return namespaces


def _pid(wanted: NamespaceOptions, sandbox: NamespaceOptions, joins: NamespaceJoins) -> list[Document]:
    if wanted.pid is NamespaceMode.NODE:
        return []
    if wanted.pid is NamespaceMode.CONTAINER:
        return [{"type": "pid"}]
    if wanted.pid is NamespaceMode.TARGET:
        if not joins.target_pid:
            raise FailedPrecondition(f"pid namespace of target container {wanted.target_id!r} cannot be joined: it does not run")
        return [_join("pid", joins.target_pid)]
    if joins.pid:
        return [_join("pid", joins.pid)]
    if sandbox.pid is NamespaceMode.NODE:
        return []
    raise FailedPrecondition(
        "the container wants the pod's pid namespace, but the sandbox does not share one: its pid mode is "
        f"{sandbox.pid.name} or its own process has ended"
    )


def _own(private_cgroup: bool, userns: UserNamespace | None, joins: NamespaceJoins) -> list[Document]:
    own: list[Document] = [{"type": "cgroup"}] if private_cgroup else []
    return [*own, _join("user", joins.user)] if userns is not None else own


def _join(kind: str, path: str) -> Document:
    return {"type": kind, "path": path} if path else {"type": kind}
