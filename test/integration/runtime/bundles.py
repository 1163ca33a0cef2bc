"""Real containers without a monitor: a busybox root file system, a document made by our builder, ``create`` by hand."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

from crio.core.config import ContainerConfig, ImageSpec, Metadata, NamespaceMode, NamespaceOptions, SandboxConfig, Security
from crio.core.facts import HostFacts
from crio.core.oci.container import build_container_spec
from crio.core.oci.document import BuiltSpec
from crio.core.oci.inputs import ContainerSpecRequest, Identity, ImageRuntimeConfig
from crio.core.user import ResolvedUser
from crio.host.cgroup.manager import CgroupManager
from crio.host.process import run
from crio.host.runtime.handlers import Handler

APPLETS = "sh true false echo cat id sleep mount ps setsid head yes hostname ls touch env pwd grep kill dd seq"
OWN_PID = NamespaceOptions(pid=NamespaceMode.CONTAINER)


def make_rootfs(folder: Path) -> Path:
    """A root file system of one static program and links to it."""
    (folder / "bin").mkdir(parents=True)
    for name in ("etc", "proc", "sys", "dev", "tmp", "run"):
        (folder / name).mkdir()
    shutil.copy2("/bin/busybox", folder / "bin/busybox")
    for applet in APPLETS.split():
        os.link(folder / "bin/busybox", folder / "bin" / applet)
    (folder / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (folder / "etc/group").write_text("root:x:0:\n")
    return folder


@dataclass
class Workshop:
    """Makes containers of one handler below one cgroup parent and clears them away."""

    handler: Handler
    host: HostFacts
    folder: Path
    parent: str
    cgroups: CgroupManager
    made: list[str] = field(default_factory=list)

    def request(self, *command: str, config: ContainerConfig | None = None) -> ContainerSpecRequest:
        """A request for ``command``; ``config`` replaces the default one except for the command."""
        container_id = secrets.token_hex(32)
        wanted = config or ContainerConfig(Metadata("test"), ImageSpec("busybox"), security=Security(namespaces=OWN_PID))
        sandbox = SandboxConfig(
            Metadata("pod", uid="uid", namespace="default"), security=Security(namespaces=OWN_PID), cgroup_parent=self.parent
        )
        return ContainerSpecRequest(
            config=replace(wanted, command=command or wanted.command or ("/bin/sleep", "1000")),
            sandbox=sandbox,
            image=ImageRuntimeConfig(),
            identity=Identity(container_id, "k8s_test", "s" * 64, "k8s_pod", 1),
            user=ResolvedUser(),
            host=self.host,
            runtime=self.handler.features,
            rootfs=str(self.folder / "rootfs"),
            cgroups_path=self.cgroups.spec_path(self.parent, container_id),
            hostname="inside",
            handler=self.handler.spec,
        )

    async def create(self, request: ContainerSpecRequest) -> tuple[str, BuiltSpec]:
        """Create the container; returns its id and document."""
        built = build_container_spec(request)
        return await self.create_document(request.identity.container_id, built), built

    async def create_document(self, container_id: str, built: BuiltSpec) -> str:
        """Create a container from a document; returns the id."""
        bundle = self.folder / container_id
        bundle.mkdir()
        (bundle / "config.json").write_text(json.dumps(built.document, default=dict))
        self.made.append(container_id)
        argv = self.handler.runtime.command.argv("create", "--bundle", str(bundle), "--pid-file", str(bundle / "pid"), container_id)
        completed = await run(argv)
        assert completed.returncode == 0, completed.text()
        return container_id

    async def running(self, *command: str, config: ContainerConfig | None = None) -> str:
        """Create and start; returns the id."""
        container_id, _ = await self.create(self.request(*command, config=config))
        await self.handler.runtime.start(container_id)
        return container_id

    async def close(self) -> None:
        """Remove every container and the cgroup parent."""
        for container_id in self.made:
            await self.handler.runtime.delete(container_id, force=True)
        self.cgroups.kill(self.parent)
        self.cgroups.remove(self.parent)
