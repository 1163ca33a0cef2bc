"""``crioctl pod``: run, stop, remove, status, list."""

from __future__ import annotations

import time

from crio.cli.ctl.client import Client
from crio.cli.ctl.configs import sandbox_config
from crio.cli.ctl.errors import BadInput
from crio.cli.ctl.options import Options, label_selector
from crio.cli.ctl.present import SHORT_ID, age, facts, json_text, labels, moment, say, table
from crio.cri import api_pb2 as pb

STATES = {pb.SANDBOX_READY: "ready", pb.SANDBOX_NOTREADY: "not ready"}
STATE_NAMES = {"ready": pb.SANDBOX_READY, "notready": pb.SANDBOX_NOTREADY}


def run(client: Client, options: Options) -> int:
    """Run a pod; prints its id."""
    request = pb.RunPodSandboxRequest(config=sandbox_config(options.text("config")), runtime_handler=options.text("runtime"))
    say(client.call("RunPodSandbox", request, pb.RunPodSandboxResponse).pod_sandbox_id)
    return 0


def stop(client: Client, options: Options) -> int:
    """Stop a pod; prints its id."""
    pod_id = options.object_id("pod")
    client.call("StopPodSandbox", pb.StopPodSandboxRequest(pod_sandbox_id=pod_id), pb.StopPodSandboxResponse)
    say(pod_id)
    return 0


def remove(client: Client, options: Options) -> int:
    """Remove a pod with everything in it; prints its id."""
    pod_id = options.object_id("pod")
    client.call("RemovePodSandbox", pb.RemovePodSandboxRequest(pod_sandbox_id=pod_id), pb.RemovePodSandboxResponse)
    say(pod_id)
    return 0


def status(client: Client, options: Options) -> int:
    """Print one pod in full."""
    request = pb.PodSandboxStatusRequest(pod_sandbox_id=options.object_id("pod"), verbose=options.flag("verbose"))
    answer = client.call("PodSandboxStatus", request, pb.PodSandboxStatusResponse)
    say(json_text(answer) if options.flag("json") or options.flag("verbose") else status_text(answer.status))
    return 0


def status_text(pod: pb.PodSandboxStatus) -> str:
    """The lines of ``pod status``."""
    modes = pod.linux.namespaces.options
    spaces = " ".join(f"{name}={pb.NamespaceMode.Name(getattr(modes, name)).lower()}" for name in ("network", "pid", "ipc"))
    given = pod.metadata
    return facts(
        [
            ("id", pod.id),
            ("name", given.name),
            ("namespace", given.namespace),
            ("uid", given.uid),
            ("attempt", str(given.attempt)),
            ("state", STATES.get(pod.state, str(pod.state))),
            ("created", moment(pod.created_at)),
            ("ip", " ".join(filter(None, [pod.network.ip, *(more.ip for more in pod.network.additional_ips)]))),
            ("namespaces", spaces),
            ("runtime", pod.runtime_handler),
            ("labels", labels(pod.labels)),
            ("annotations", labels(pod.annotations)),
        ]
    )


def list_filter(options: Options) -> pb.PodSandboxFilter:
    """The filter of ``pod list``; raises BadInput."""
    wanted = pb.PodSandboxFilter(id=options.text("id"), label_selector=label_selector(options))
    state = options.text("state")
    if state:
        if state not in STATE_NAMES:
            raise BadInput(f"--state {state!r}: expected one of {', '.join(STATE_NAMES)}")
        wanted.state.state = STATE_NAMES[state]
    return wanted


def list_all(client: Client, options: Options) -> int:
    """Print the pods."""
    answer = client.call("ListPodSandbox", pb.ListPodSandboxRequest(filter=list_filter(options)), pb.ListPodSandboxResponse)
    if options.flag("json"):
        say(json_text(answer))
    elif options.flag("quiet"):
        say("\n".join(pod.id for pod in answer.items))
    else:
        say(list_text(answer, time.time_ns()))
    return 0


def list_text(answer: pb.ListPodSandboxResponse, now_ns: int) -> str:
    """The table of ``pod list``, newest first."""
    rows = [
        (
            pod.id[:SHORT_ID],
            age(pod.created_at, now_ns),
            STATES.get(pod.state, str(pod.state)),
            pod.metadata.name,
            pod.metadata.namespace,
            str(pod.metadata.attempt),
            pod.runtime_handler or "(default)",
        )
        for pod in sorted(answer.items, key=lambda pod: pod.created_at, reverse=True)
    ]
    return table(("POD", "CREATED", "STATE", "NAME", "NAMESPACE", "ATTEMPT", "RUNTIME"), rows)
