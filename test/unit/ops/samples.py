"""Records to work with, and a journal that remembers or refuses."""

from __future__ import annotations

from crio.core import config as core
from crio.core.errors import ResourceExhausted
from crio.core.lifecycle import ContainerState, SandboxState
from crio.core.records import Container, Sandbox


def sandbox(number: int = 1, state: SandboxState = SandboxState.READY) -> Sandbox:
    """A sandbox whose id starts with its number in eight hexadecimal digits."""
    metadata = core.Metadata(f"pod{number}", 0, f"uid{number}", "examples")
    return Sandbox(
        id=f"{number:08x}".ljust(64, "0"),
        name=f"k8s_pod{number}_examples_uid{number}_0",
        config=core.SandboxConfig(metadata, labels={"app": f"app{number % 2}"}),
        state=state,
        created_at_ns=number,
        handler="runc",
        cgroup_parent="/ct-unit",
        hostname=f"pod{number}",
        log_directory="/logs",
        run_dir="/run/pod",
    )


def container(number: int = 1, state: ContainerState = ContainerState.RUNNING) -> Container:
    """A container of the sandbox with the same number."""
    return Container(
        id=f"{number:08x}".ljust(64, "c"),
        name=f"k8s_web_pod{number}_examples_uid{number}_0",
        sandbox_id=sandbox(number).id,
        config=core.ContainerConfig(core.Metadata("web"), core.ImageSpec("busybox"), labels={"app": f"app{number % 2}"}),
        state=state,
        created_at_ns=number,
        image_id="1" * 64,
        image_ref="r@sha256:" + "2" * 64,
        image_name="r:1",
        log_path="/logs/web.log",
        bundle="/run/web",
    )


class Memory:
    """A journal in memory that can be told to break."""

    def __init__(self) -> None:
        self.saved: dict[str, Sandbox | Container] = {}
        self.full = False

    def save(self, record: Sandbox | Container) -> None:
        """Keep the record; raises ResourceExhausted when the journal is to be full."""
        if self.full:
            raise ResourceExhausted("No space left on device")
        self.saved[record.id] = record

    def forget(self, record_id: str) -> None:
        """Drop it."""
        self.saved.pop(record_id, None)
