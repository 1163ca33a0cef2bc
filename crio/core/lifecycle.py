"""The life cycles of sandboxes and containers as tables.

A **sandbox** is CREATING while its namespaces, network and (where needed) its infra process come to be, READY when a client may
put containers into it, STOPPING from the moment a stop was asked for, and NOTREADY when everything that ran in it has ended and
its network is gone. A sandbox whose infra process dies becomes NOTREADY by itself. Removal ends the record; there is no state
after it.

A **container** is CREATING until the OCI runtime has made it, CREATED until it is started, RUNNING (or PAUSED) until its first
process ends, EXITED for ever after. A failed start is an exit: the record stays so that the client can read why. UNKNOWN is a
container whose monitor and process are both gone without an exit status; it can only be removed.

What a crash leaves: CREATING records are undone at the next start of the daemon (nobody was told the id); READY, CREATED and
RUNNING ones are checked against the kernel and the exit files; a STOPPING sandbox stays so until the client asks again, which every
client does.
"""

from __future__ import annotations

import enum

from crio.core.errors import FailedPrecondition


class SandboxState(enum.Enum):
    """Where a sandbox is in its life."""

    CREATING = "creating"
    READY = "ready"
    STOPPING = "stopping"
    NOTREADY = "stopped"


class SandboxEvent(enum.Enum):
    """What can happen to a sandbox; the value is the verb of an error sentence."""

    CREATED = "finish creating"
    STOP = "stop"
    STOPPED = "finish stopping"
    INFRA_EXIT = "lose the infra process of"


class ContainerState(enum.Enum):
    """Where a container is in its life."""

    CREATING = "creating"
    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    EXITED = "exited"
    UNKNOWN = "unknown"


class ContainerEvent(enum.Enum):
    """What can happen to a container; the value is the verb of an error sentence."""

    CREATED = "finish creating"
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    EXIT = "record the exit of"
    LOST = "give up"


SANDBOX_TABLE: dict[tuple[SandboxState, SandboxEvent], SandboxState] = {
    (SandboxState.CREATING, SandboxEvent.CREATED): SandboxState.READY,
    (SandboxState.READY, SandboxEvent.STOP): SandboxState.STOPPING,
    (SandboxState.STOPPING, SandboxEvent.STOP): SandboxState.STOPPING,
    (SandboxState.NOTREADY, SandboxEvent.STOP): SandboxState.NOTREADY,
    (SandboxState.STOPPING, SandboxEvent.STOPPED): SandboxState.NOTREADY,
    (SandboxState.NOTREADY, SandboxEvent.STOPPED): SandboxState.NOTREADY,
    (SandboxState.READY, SandboxEvent.INFRA_EXIT): SandboxState.NOTREADY,
    (SandboxState.STOPPING, SandboxEvent.INFRA_EXIT): SandboxState.STOPPING,
    (SandboxState.NOTREADY, SandboxEvent.INFRA_EXIT): SandboxState.NOTREADY,
}

CONTAINER_TABLE: dict[tuple[ContainerState, ContainerEvent], ContainerState] = {
    (ContainerState.CREATING, ContainerEvent.CREATED): ContainerState.CREATED,
    (ContainerState.CREATED, ContainerEvent.START): ContainerState.RUNNING,
    (ContainerState.RUNNING, ContainerEvent.PAUSE): ContainerState.PAUSED,
    (ContainerState.PAUSED, ContainerEvent.RESUME): ContainerState.RUNNING,
    (ContainerState.CREATED, ContainerEvent.EXIT): ContainerState.EXITED,
    (ContainerState.RUNNING, ContainerEvent.EXIT): ContainerState.EXITED,
    (ContainerState.PAUSED, ContainerEvent.EXIT): ContainerState.EXITED,
    (ContainerState.EXITED, ContainerEvent.EXIT): ContainerState.EXITED,
    (ContainerState.UNKNOWN, ContainerEvent.EXIT): ContainerState.EXITED,
    (ContainerState.CREATED, ContainerEvent.LOST): ContainerState.UNKNOWN,
    (ContainerState.RUNNING, ContainerEvent.LOST): ContainerState.UNKNOWN,
    (ContainerState.PAUSED, ContainerEvent.LOST): ContainerState.UNKNOWN,
}

ALIVE = frozenset({ContainerState.CREATED, ContainerState.RUNNING, ContainerState.PAUSED})
STARTED = frozenset({ContainerState.RUNNING, ContainerState.PAUSED})


def next_sandbox_state(sandbox_id: str, state: SandboxState, event: SandboxEvent) -> SandboxState:
    """The state after ``event``; raises FailedPrecondition naming the sandbox, its state and the verb."""
    found = SANDBOX_TABLE.get((state, event))
    if found is None:
        raise FailedPrecondition(f"cannot {event.value} sandbox {sandbox_id}: it is {state.value}")
    return found


def next_container_state(container_id: str, state: ContainerState, event: ContainerEvent) -> ContainerState:
    """The state after ``event``; raises FailedPrecondition naming the container, its state and the verb."""
    found = CONTAINER_TABLE.get((state, event))
    if found is None:
        raise FailedPrecondition(f"cannot {event.value} container {container_id}: it is {state.value}")
    return found
