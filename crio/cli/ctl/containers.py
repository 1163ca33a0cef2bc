"""``crioctl ctr``: create, start, stop, remove, status, list, execsync."""

from __future__ import annotations

import sys
import time

from crio.cli.ctl.client import Client
from crio.cli.ctl.configs import container_config, sandbox_config
from crio.cli.ctl.errors import EXIT_TIMED_OUT, BadInput
from crio.cli.ctl.options import Options, label_selector
from crio.cli.ctl.present import SHORT_ID, age, facts, json_text, labels, moment, say, table
from crio.cri import api_pb2 as pb

STATES = {
    pb.CONTAINER_CREATED: "created",
    pb.CONTAINER_RUNNING: "running",
    pb.CONTAINER_EXITED: "exited",
    pb.CONTAINER_UNKNOWN: "unknown",
}
STATE_NAMES = {name: value for value, name in STATES.items()}
# How much longer than the command itself the call may take.
EXEC_MARGIN_S = 10.0
STOP_MARGIN_S = 30.0


def create(client: Client, options: Options) -> int:
    """Create a container in a pod; prints its id."""
    pod_id = options.text("pod")
    request = pb.CreateContainerRequest(pod_sandbox_id=pod_id, config=container_config(options.text("config")))
    request.sandbox_config.CopyFrom(_pod_config(client, options, pod_id))
    say(client.call("CreateContainer", request, pb.CreateContainerResponse).container_id)
    return 0


def _pod_config(client: Client, options: Options, pod_id: str) -> pb.PodSandboxConfig:
    """The pod's configuration as it is in ``--pod-config``; without that, as much as its status tells."""
    if options.text("pod_config"):
        return sandbox_config(options.text("pod_config"))
    request = pb.PodSandboxStatusRequest(pod_sandbox_id=pod_id)
    found = client.call("PodSandboxStatus", request, pb.PodSandboxStatusResponse).status
    return pb.PodSandboxConfig(metadata=found.metadata, labels=found.labels, annotations=found.annotations)


def start(client: Client, options: Options) -> int:
    """Start a container; prints its id."""
    container_id = options.object_id("container")
    client.call("StartContainer", pb.StartContainerRequest(container_id=container_id), pb.StartContainerResponse)
    say(container_id)
    return 0


def stop(client: Client, options: Options) -> int:
    """Stop a container within its grace period; prints its id."""
    container_id, grace_s = options.object_id("container"), options.number("grace_s")
    request = pb.StopContainerRequest(container_id=container_id, timeout=grace_s)
    limit_s = max(client.timeout_s, grace_s + STOP_MARGIN_S) if client.timeout_s else 0.0
    client.call("StopContainer", request, pb.StopContainerResponse, limit_s)
    say(container_id)
    return 0


def remove(client: Client, options: Options) -> int:
    """Remove a container; prints its id."""
    container_id = options.object_id("container")
    client.call("RemoveContainer", pb.RemoveContainerRequest(container_id=container_id), pb.RemoveContainerResponse)
    say(container_id)
    return 0


def execsync(client: Client, options: Options) -> int:
    """Run a command in a container, print what it says; the result is its exit code, 124 when its time ran out."""
    command = options.words("command")
    if not command:
        raise BadInput("execsync: expected a command after the options")
    timeout_s = options.number("exec_timeout_s")
    request = pb.ExecSyncRequest(container_id=options.text("id"), cmd=command, timeout=timeout_s)
    limit_s = max(client.timeout_s, timeout_s + EXEC_MARGIN_S) if timeout_s else client.timeout_s
    answer = client.call("ExecSync", request, pb.ExecSyncResponse, limit_s)
    if options.flag("json"):
        say(json_text(answer))
        return 0
    for stream, data in ((sys.stdout, answer.stdout), (sys.stderr, answer.stderr)):
        stream.flush()
        stream.buffer.write(data)
        stream.flush()
    return answer.exit_code if answer.exit_code >= 0 else EXIT_TIMED_OUT


def status(client: Client, options: Options) -> int:
    """Print one container in full."""
    request = pb.ContainerStatusRequest(container_id=options.object_id("container"), verbose=options.flag("verbose"))
    answer = client.call("ContainerStatus", request, pb.ContainerStatusResponse)
    say(json_text(answer) if options.flag("json") or options.flag("verbose") else status_text(answer.status))
    return 0


def status_text(container: pb.ContainerStatus) -> str:
    """The lines of ``ctr status``."""
    ended = container.state == pb.CONTAINER_EXITED
    mounts = [f"{mount.host_path}:{mount.container_path}{':ro' if mount.readonly else ''}" for mount in container.mounts]
    return facts(
        [
            ("id", container.id),
            ("name", container.metadata.name),
            ("attempt", str(container.metadata.attempt)),
            ("state", STATES.get(container.state, str(container.state))),
            ("created", moment(container.created_at)),
            ("started", moment(container.started_at)),
            ("finished", moment(container.finished_at)),
            ("exit code", str(container.exit_code) if ended else ""),
            ("reason", container.reason),
            ("message", container.message),
            ("image", container.image.user_specified_image or container.image.image),
            ("image ref", container.image_ref),
            ("log", container.log_path),
            *(("mount", mount) for mount in mounts),
            ("labels", labels(container.labels)),
            ("annotations", labels(container.annotations)),
        ]
    )


def list_filter(options: Options) -> pb.ContainerFilter:
    """The filter of ``ctr list``; raises BadInput."""
    wanted = pb.ContainerFilter(id=options.text("id"), pod_sandbox_id=options.text("pod"), label_selector=label_selector(options))
    state = options.text("state")
    if state:
        if state not in STATE_NAMES:
            raise BadInput(f"--state {state!r}: expected one of {', '.join(STATE_NAMES)}")
        wanted.state.state = STATE_NAMES[state]
    return wanted


def list_all(client: Client, options: Options) -> int:
    """Print the containers."""
    answer = client.call("ListContainers", pb.ListContainersRequest(filter=list_filter(options)), pb.ListContainersResponse)
    if options.flag("json"):
        say(json_text(answer))
    elif options.flag("quiet"):
        say("\n".join(container.id for container in answer.containers))
    else:
        say(list_text(answer, time.time_ns()))
    return 0


def list_text(answer: pb.ListContainersResponse, now_ns: int) -> str:
    """The table of ``ctr list``, newest first."""
    rows = [
        (
            item.id[:SHORT_ID],
            item.image.user_specified_image or item.image.image[:60],
            age(item.created_at, now_ns),
            STATES.get(item.state, str(item.state)),
            item.metadata.name,
            str(item.metadata.attempt),
            item.pod_sandbox_id[:SHORT_ID],
        )
        for item in sorted(answer.containers, key=lambda item: item.created_at, reverse=True)
    ]
    return table(("CONTAINER", "IMAGE", "CREATED", "STATE", "NAME", "ATTEMPT", "POD"), rows)
