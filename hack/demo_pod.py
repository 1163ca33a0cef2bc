"""The demo's pod through the CRI: pull, run, look, stop."""

from __future__ import annotations

import http.client
import json
import pathlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

from crio.cli.ctl.client import Client
from crio.cli.ctl.pulls import parse_layers
from crio.cli.status import ask
from crio.core.errors import CriError
from crio.cri import api_pb2 as pb
from hack.demo_display import Display, Stage, Step
from hack.demo_interrupt import check
from hack.demo_places import Places
from hack.demo_runtime import POLL_S, call
from test.support.waiting import eventually

NAME = "demo"
PORT = 8080
ANSWER_TIMEOUT_S = 15.0
GRACE_S = 5
EXEC = ("sh", "-c", 'echo "I am $(id -un) on $(hostname), process 1 is: $(tr "\\0" " " </proc/1/cmdline)"; ip -o -4 addr show eth0')


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server in the pod said."""

    line: str
    text: str


def pod_config(places: Places, *, systemd: bool) -> pb.PodSandboxConfig:
    """The pod: its own namespaces, its log below the demo's folder, its cgroup below the demo's."""
    config = pb.PodSandboxConfig(hostname=NAME, log_directory=str(places.root / "pods" / NAME), labels={"app": NAME})
    config.metadata.CopyFrom(pb.PodSandboxMetadata(name=NAME, uid=f"uid-{places.tag}", namespace="default"))
    config.linux.cgroup_parent = places.cgroup_parent(systemd=systemd)
    config.linux.security_context.namespace_options.pid = pb.CONTAINER
    return config


def container_config(image: str) -> pb.ContainerConfig:
    """The container: the web server of the kit's demo image."""
    config = pb.ContainerConfig(image=pb.ImageSpec(image=image), log_path="web.log")
    config.metadata.name = "web"
    config.linux.security_context.namespace_options.pid = pb.CONTAINER
    config.linux.security_context.seccomp.profile_type = pb.SecurityProfile.RuntimeDefault
    return config


def pull(client: Client, image: str, step: Step) -> str:
    """Pull an image, telling the step how far it is; returns its id."""
    pending = client.begin("PullImage", pb.PullImageRequest(image=pb.ImageSpec(image=image)), pb.PullImageResponse)
    while True:
        answer = pending.wait(POLL_S)
        if answer is not None:
            return answer.image_ref
        check()
        try:
            layers = parse_layers(ask(client.path, "/pulls"), image)
        except CriError:
            continue
        if layers:
            share = sum(layer.share for layer in layers) / len(layers)
            step.tell(f"{len(layers)} layers, {share:.0%}")


def timeline(client: Client, verb: str, object_id: str) -> tuple[list[Stage], int]:
    """The stages of the last operation of a kind about an object, and how long all of it took in nanoseconds."""
    entries = [entry for entry in json.loads(ask(client.path, f"/timeline?about={object_id}")) if entry["verb"] == verb]
    if not entries:
        return [], 0
    entry = entries[-1]
    begin, end = entry["start_ns"], entry.get("end_ns", entry["start_ns"])
    stages = [Stage(span["name"], span["start_ns"] - begin, (span.get("end_ns") or end) - begin) for span in entry.get("spans", ())]
    return stages, end - begin


def read_log(path: str, wanted: str) -> str:
    """The container's log once it has a line with ``wanted``, in the CRI's format."""

    def look() -> str:
        check()
        text = pathlib.Path(path).read_text(errors="replace") if pathlib.Path(path).exists() else ""
        return text if wanted in text else ""

    return eventually(look, ANSWER_TIMEOUT_S, f"{path} has a line with {wanted!r}")


def ask_server(address: str) -> Answer:
    """The page of the server in the pod, as soon as it listens."""

    def get() -> Answer | None:
        check()
        connection = http.client.HTTPConnection(address, PORT, timeout=ANSWER_TIMEOUT_S)
        try:
            connection.request("GET", "/index.html")
            response = connection.getresponse()
            return Answer(f"HTTP {response.status} {response.reason}", response.read().decode(errors="replace"))
        except ConnectionRefusedError:
            return None
        finally:
            connection.close()

    answer = eventually(get, ANSWER_TIMEOUT_S, f"a server answers on {address}:{PORT}")
    assert answer is not None
    return answer


def run_steps(client: Client, places: Places, display: Display, image: str) -> tuple[str, str]:
    """Run the pod and its container, each call a step with its stages; returns both ids."""
    systemd = call(client, "RuntimeConfig", pb.RuntimeConfigRequest(), pb.RuntimeConfigResponse).linux.cgroup_driver == pb.SYSTEMD
    pod = pod_config(places, systemd=systemd)
    with display.step("RunPodSandbox") as step:
        pod_id = call(client, "RunPodSandbox", pb.RunPodSandboxRequest(config=pod), pb.RunPodSandboxResponse).pod_sandbox_id
        step.tell(f"pod {pod_id[:13]}")
    display.stages(*timeline(client, "RunPodSandbox", pod_id))
    request = pb.CreateContainerRequest(pod_sandbox_id=pod_id, config=container_config(image), sandbox_config=pod)
    with display.step("CreateContainer") as step:
        container_id = call(client, "CreateContainer", request, pb.CreateContainerResponse).container_id
        step.tell(f"container {container_id[:13]}")
    display.stages(*timeline(client, "CreateContainer", container_id))
    with display.step("StartContainer"):
        call(client, "StartContainer", pb.StartContainerRequest(container_id=container_id), pb.StartContainerResponse)
    display.stages(*timeline(client, "StartContainer", container_id))
    return pod_id, container_id


def look_steps(client: Client, display: Display, pod_id: str, container_id: str) -> str:
    """Show what can be seen of the running pod; returns its address."""
    found = call(client, "PodSandboxStatus", pb.PodSandboxStatusRequest(pod_sandbox_id=pod_id), pb.PodSandboxStatusResponse)
    address = found.status.network.ip
    with display.step("HTTP request") as step:
        answer = ask_server(address)
        step.tell(f"{answer.line} from http://{address}:{PORT}/")
    with display.step("ExecSync") as step:
        request = pb.ExecSyncRequest(container_id=container_id, cmd=EXEC, timeout=10)
        output = call(client, "ExecSync", request, pb.ExecSyncResponse)
        step.tell(f"exit code {output.exit_code}")
    status = call(client, "ContainerStatus", pb.ContainerStatusRequest(container_id=container_id), pb.ContainerStatusResponse)
    log = read_log(status.status.log_path, "port 8080")
    display.line()
    display.quote(f"IP of the pod: {address}", answer.text)
    display.quote("output of the exec", (output.stdout + output.stderr).decode(errors="replace"))
    display.quote("log of the container", log)
    display.line()
    return address


def stop_steps(client: Client, display: Display, pod_id: str, container_ids: Sequence[str]) -> None:
    """Stop and remove one pod and its containers, each call a step."""
    began_s = time.monotonic()
    for container_id in container_ids:
        with display.step("StopContainer") as step:
            request = pb.StopContainerRequest(container_id=container_id, timeout=GRACE_S)
            call(client, "StopContainer", request, pb.StopContainerResponse)
            status = call(client, "ContainerStatus", pb.ContainerStatusRequest(container_id=container_id), pb.ContainerStatusResponse)
            step.tell(f"exit code {status.status.exit_code} {status.status.reason}")
        with display.step("RemoveContainer"):
            call(client, "RemoveContainer", pb.RemoveContainerRequest(container_id=container_id), pb.RemoveContainerResponse)
    with display.step("StopPodSandbox"):
        call(client, "StopPodSandbox", pb.StopPodSandboxRequest(pod_sandbox_id=pod_id), pb.StopPodSandboxResponse)
    display.stages(*timeline(client, "StopPodSandbox", pod_id))
    with display.step("RemovePodSandbox") as step:
        call(client, "RemovePodSandbox", pb.RemovePodSandboxRequest(pod_sandbox_id=pod_id), pb.RemovePodSandboxResponse)
        step.tell(f"all of it in {time.monotonic() - began_s:.2f} s")


def stop_everything(client: Client, display: Display) -> None:
    """Stop and remove whatever pods there are, of the demo or of those who tried things."""
    containers = call(client, "ListContainers", pb.ListContainersRequest(), pb.ListContainersResponse).containers
    for pod in call(client, "ListPodSandbox", pb.ListPodSandboxRequest(), pb.ListPodSandboxResponse).items:
        stop_steps(client, display, pod.id, [item.id for item in containers if item.pod_sandbox_id == pod.id])
