"""``runtime.v1.RuntimeService``: each RPC is parsed, handed to its operation, answered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

import grpc.aio
import orjson

from crio import __version__
from crio.core.codec import Json, encode
from crio.core.errors import InvalidArgument
from crio.core.lifecycle import ContainerState, SandboxState
from crio.core.records import Container, Sandbox
from crio.cri import answers, parse
from crio.cri import api_pb2 as pb
from crio.host.files import read_bounded
from crio.ops.context import Context
from crio.ops.create_container import create_container
from crio.ops.exec_sync import exec_sync
from crio.ops.remove_container import remove_container
from crio.ops.reopen_log import reopen_log
from crio.ops.run_pod import run_pod
from crio.ops.start_container import start_container
from crio.ops.stop_container import stop_container
from crio.ops.stop_pod import DEFAULT_TIMEOUT_S, remove_pod, stop_pod

Rpc: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
RUNTIME_NAME: Final = "cri-o"
API_VERSION: Final = "v1"
KUBELET_VERSION: Final = "0.1.0"
_SPEC_LIMIT_BYTES = 16 << 20
# The kubelet takes messages of at most 16 MiB; both streams have to fit into one with some room around them.
_EXEC_ANSWER_BYTES: Final = (16 << 20) - 4096


def _cut_to_answer(stdout: bytes, stderr: bytes) -> tuple[bytes, bytes]:
    """Both streams cut so that they fit into one answer; the shorter one keeps what it needs, up to half."""
    half = _EXEC_ANSWER_BYTES // 2
    stdout = stdout[: max(half, _EXEC_ANSWER_BYTES - len(stderr))]
    return stdout, stderr[: _EXEC_ANSWER_BYTES - len(stdout)]


class RuntimeService:
    """The handlers of the runtime service; method names are the RPC's."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._sandboxes: answers.EncodedList[Sandbox] = answers.EncodedList(
            1, lambda record: answers.sandbox_item(record).SerializeToString()
        )
        self._containers: answers.EncodedList[Container] = answers.EncodedList(
            1, lambda record: answers.container_item(record).SerializeToString()
        )

    async def Version(self, request: pb.VersionRequest, _: Rpc) -> pb.VersionResponse:
        """Who answers here."""
        return pb.VersionResponse(
            version=KUBELET_VERSION,
            runtime_name=RUNTIME_NAME,
            runtime_version=__version__,
            runtime_api_version=API_VERSION,
        )

    async def Status(self, request: pb.StatusRequest, _: Rpc) -> pb.StatusResponse:
        """Whether pods can be run, and what the handlers can do."""
        ctx = self._ctx
        network = ctx.cni.status()
        response = pb.StatusResponse()
        response.status.conditions.add(type="RuntimeReady", status=True)
        condition = response.status.conditions.add(type="NetworkReady", status=network.ready)
        if not network.ready:
            condition.reason = "NetworkPluginNotReady"
            condition.message = f"Network plugin returns error: {network.message}"
        for name, handler in (("", ctx.handlers.default), *((item.name, item) for item in ctx.handlers.all())):
            described = response.runtime_handlers.add(name=name)
            described.features.recursive_read_only_mounts = handler.recursive_readonly
            described.features.user_namespaces = handler.user_namespaces
        response.features.supplemental_groups_policy = True
        response.features.user_namespaces_host_network = True
        if request.verbose:
            document: dict[str, Json] = {"sandboxImage": ctx.settings.image.pause_image}
            document["crio"] = encode({"runtime": ctx.settings.runtime.default_runtime, "cgroupManager": ctx.cgroups.name})
            response.info["config"] = orjson.dumps(document).decode()
        return response

    async def RuntimeConfig(self, request: pb.RuntimeConfigRequest, _: Rpc) -> pb.RuntimeConfigResponse:
        """Which cgroup driver the kubelet has to use."""
        response = pb.RuntimeConfigResponse()
        response.linux.cgroup_driver = pb.SYSTEMD if self._ctx.cgroups.systemd else pb.CGROUPFS
        return response

    async def UpdateRuntimeConfig(self, request: pb.UpdateRuntimeConfigRequest, _: Rpc) -> pb.UpdateRuntimeConfigResponse:
        """Accepted; the pod address range is the network plugin's business."""
        return pb.UpdateRuntimeConfigResponse()

    async def RunPodSandbox(self, request: pb.RunPodSandboxRequest, _: Rpc) -> pb.RunPodSandboxResponse:
        """Create a sandbox."""
        if not request.HasField("config"):
            raise InvalidArgument("config is missing: expected a PodSandboxConfig")
        config = parse.sandbox_config(request.config)
        return pb.RunPodSandboxResponse(pod_sandbox_id=await run_pod(self._ctx, config, request.runtime_handler))

    async def StopPodSandbox(self, request: pb.StopPodSandboxRequest, rpc: Rpc) -> pb.StopPodSandboxResponse:
        """Stop a sandbox."""
        left = rpc.time_remaining()
        timeout_s = DEFAULT_TIMEOUT_S if left is None or left > 1e6 else max(left - 1.0, 0.0)
        await stop_pod(self._ctx, request.pod_sandbox_id, timeout_s)
        return pb.StopPodSandboxResponse()

    async def RemovePodSandbox(self, request: pb.RemovePodSandboxRequest, _: Rpc) -> pb.RemovePodSandboxResponse:
        """Remove a sandbox."""
        await remove_pod(self._ctx, request.pod_sandbox_id)
        return pb.RemovePodSandboxResponse()

    async def PodSandboxStatus(self, request: pb.PodSandboxStatusRequest, _: Rpc) -> pb.PodSandboxStatusResponse:
        """One sandbox in full."""
        sandbox = self._ctx.table.sandboxes.find(request.pod_sandbox_id)
        response = pb.PodSandboxStatusResponse(status=answers.sandbox_status(sandbox))
        if request.verbose:
            document: dict[str, Json] = {"runtimeSpec": self._spec(sandbox.run_dir)}
            if sandbox.infra_process is not None:
                document |= {"image": self._ctx.settings.image.pause_image, "pid": sandbox.infra_process.pid}
            response.info["info"] = orjson.dumps(document).decode()
        return response

    async def ListPodSandbox(self, request: pb.ListPodSandboxRequest, _: Rpc) -> bytes:
        """All sandboxes that a filter fits; those in creation are left out."""
        wanted = request.filter
        state = wanted.state.state if wanted.HasField("state") else None
        records: Iterable[Sandbox] = (
            sandbox
            for sandbox in self._ctx.table.sandboxes.matching(wanted.id)
            if sandbox.state is not SandboxState.CREATING
            and (state is None or answers.sandbox_state(sandbox) == state)
            and answers.matches(sandbox.config.labels, wanted.label_selector)
        )
        return self._sandboxes.answer(records, len(self._ctx.table.sandboxes))

    async def CreateContainer(self, request: pb.CreateContainerRequest, _: Rpc) -> pb.CreateContainerResponse:
        """Create a container in a sandbox."""
        if not request.HasField("config"):
            raise InvalidArgument("config is missing: expected a ContainerConfig")
        if not request.HasField("sandbox_config") or not request.sandbox_config.HasField("metadata"):
            raise InvalidArgument("sandbox_config.metadata is missing: expected the configuration the sandbox was run with")
        config = parse.container_config(request.config)
        return pb.CreateContainerResponse(container_id=await create_container(self._ctx, request.pod_sandbox_id, config))

    async def StartContainer(self, request: pb.StartContainerRequest, _: Rpc) -> pb.StartContainerResponse:
        """Start a container."""
        await start_container(self._ctx, request.container_id)
        return pb.StartContainerResponse()

    async def StopContainer(self, request: pb.StopContainerRequest, _: Rpc) -> pb.StopContainerResponse:
        """Stop a container within its grace period."""
        await stop_container(self._ctx, request.container_id, float(request.timeout))
        return pb.StopContainerResponse()

    async def RemoveContainer(self, request: pb.RemoveContainerRequest, _: Rpc) -> pb.RemoveContainerResponse:
        """Remove a container."""
        await remove_container(self._ctx, request.container_id)
        return pb.RemoveContainerResponse()

    async def ListContainers(self, request: pb.ListContainersRequest, _: Rpc) -> bytes:
        """All containers that a filter fits; those in creation are left out."""
        wanted = request.filter
        state = wanted.state.state if wanted.HasField("state") else None
        sandboxes = {sandbox.id for sandbox in self._ctx.table.sandboxes.matching(wanted.pod_sandbox_id)}
        records: Iterable[Container] = (
            container
            for container in self._ctx.table.containers.matching(wanted.id)
            if container.state is not ContainerState.CREATING
            and (not wanted.pod_sandbox_id or container.sandbox_id in sandboxes)
            and (state is None or answers.CONTAINER_STATES[container.state] == state)
            and answers.matches(container.config.labels, wanted.label_selector)
        )
        return self._containers.answer(records, len(self._ctx.table.containers))

    async def ContainerStatus(self, request: pb.ContainerStatusRequest, _: Rpc) -> pb.ContainerStatusResponse:
        """One container in full."""
        container = self._ctx.table.containers.find(request.container_id)
        response = pb.ContainerStatusResponse(status=answers.container_status(container))
        if request.verbose:
            document: dict[str, Json] = {
                "sandboxID": container.sandbox_id,
                "pid": container.process.pid if container.process and container.state in (ContainerState.RUNNING,) else 0,
                "runtimeSpec": self._spec(container.bundle),
                "privileged": container.config.security.privileged,
            }
            response.info["info"] = orjson.dumps(document).decode()
        return response

    async def ExecSync(self, request: pb.ExecSyncRequest, _: Rpc) -> pb.ExecSyncResponse:
        """Run a command and wait; one that overstays answers exit code -1 so that probes fail as they should."""
        if request.timeout < 0:
            raise InvalidArgument(f"timeout {request.timeout} is negative: expected seconds, 0 for no limit")
        result = await exec_sync(self._ctx, request.container_id, tuple(request.cmd), float(request.timeout))
        stderr = b"command timed out" if result.timed_out else result.stderr
        stdout, stderr = _cut_to_answer(result.stdout, stderr)
        return pb.ExecSyncResponse(stdout=stdout, stderr=stderr, exit_code=-1 if result.timed_out else result.exit_code)

    async def ReopenContainerLog(self, request: pb.ReopenContainerLogRequest, _: Rpc) -> pb.ReopenContainerLogResponse:
        """Write the log to a new file."""
        await reopen_log(self._ctx, request.container_id)
        return pb.ReopenContainerLogResponse()

    @staticmethod
    def _spec(bundle: str) -> Json:
        try:
            found: Json = orjson.loads(read_bounded(f"{bundle}/config.json", _SPEC_LIMIT_BYTES))
        except OSError:
            return None
        return found
