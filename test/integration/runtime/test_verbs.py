"""The verbs on real containers of both runtimes."""

from __future__ import annotations

import signal

import pytest

from crio.core.config import ContainerConfig, ImageSpec, Metadata, Resources, Security
from crio.core.errors import CriError, FailedPrecondition, NotFound
from crio.core.oci.document import JsonValue
from crio.host.runtime.oci import ExecRequest, RuntimeStatus
from test.integration.runtime.bundles import OWN_PID, Workshop

PROCESS: dict[str, JsonValue] = {"user": {"uid": 0, "gid": 0}, "env": ["PATH=/bin"], "cwd": "/", "terminal": False}


def command(*args: str) -> dict[str, JsonValue]:
    return {**PROCESS, "args": list(args)}


async def test_a_container_lives_from_create_to_delete(workshop: Workshop) -> None:
    runtime = workshop.handler.runtime
    container_id, _ = await workshop.create(workshop.request())

    created = await runtime.state(container_id)
    assert created is not None and created.status is RuntimeStatus.CREATED and created.pid > 0

    await runtime.start(container_id)
    running = await runtime.state(container_id)
    assert running is not None and running.status is RuntimeStatus.RUNNING

    await runtime.pause(container_id)
    paused = await runtime.state(container_id)
    assert paused is not None and paused.status is RuntimeStatus.PAUSED
    await runtime.resume(container_id)

    await runtime.delete(container_id, force=True)
    assert await runtime.state(container_id) is None
    await runtime.delete(container_id)


async def test_a_paused_container_is_deleted_by_force(workshop: Workshop) -> None:
    container_id = await workshop.running()
    await workshop.handler.runtime.pause(container_id)
    await workshop.handler.runtime.delete(container_id, force=True)
    assert await workshop.handler.runtime.state(container_id) is None


async def test_unknown_ids_are_not_found(workshop: Workshop) -> None:
    runtime = workshop.handler.runtime
    assert await runtime.state("f" * 64) is None
    await runtime.delete("f" * 64)
    await runtime.delete("f" * 64, force=True)
    for verb in (runtime.start, runtime.pause, runtime.resume):
        with pytest.raises(NotFound, match="not known"):
            await verb("f" * 64)
    with pytest.raises(NotFound):
        await runtime.kill("f" * 64, signal.SIGTERM)
    with pytest.raises(NotFound):
        await runtime.update("f" * 64, {"cpu": {"shares": 100}})
    with pytest.raises(NotFound):
        await runtime.exec("f" * 64, ExecRequest(command("true")))


async def test_starting_twice_is_refused_with_the_reason(workshop: Workshop) -> None:
    container_id = await workshop.running()
    with pytest.raises(CriError, match="start"):
        await workshop.handler.runtime.start(container_id)


async def test_a_signal_to_an_ended_container_is_no_error(workshop: Workshop) -> None:
    runtime = workshop.handler.runtime
    container_id = await workshop.running()
    await runtime.kill(container_id, signal.SIGKILL)
    await runtime.kill(container_id, signal.SIGKILL)
    await runtime.delete(container_id, force=True)


async def test_limits_arrive_and_change(workshop: Workshop) -> None:
    limits = Resources(cpu_shares=512, memory_limit_bytes=64 << 20, cpu_quota_us=20000, cpu_period_us=100000)
    config = ContainerConfig(Metadata("t"), ImageSpec("b"), resources=limits, security=Security(namespaces=OWN_PID))
    container_id = await workshop.running(config=config)
    path = workshop.cgroups.container_path(workshop.parent, container_id)
    if workshop.host.cgroups.unified:
        cpu, memory = "cpu.max", "memory.max"
    else:
        cpu, memory = "cpu.cfs_quota_us", "memory.limit_in_bytes"

    def read(controller: str, name: str) -> str:
        with open(f"{workshop.cgroups.folder(path, controller)}/{name}", encoding="ascii") as file:
            return file.read().split()[0]

    assert read("memory", memory) == str(64 << 20)
    assert read("cpu", cpu) == "20000"
    await workshop.handler.runtime.update(container_id, {"cpu": {"quota": 30000, "period": 100000}})
    assert read("cpu", cpu) == "30000"


async def test_a_bad_document_is_an_error_with_the_runtimes_words(workshop: Workshop) -> None:
    request = workshop.request("/bin/no-such-program")
    try:
        container_id, _ = await workshop.create(request)
    except AssertionError as error:
        assert "no-such-program" in str(error)
        return
    with pytest.raises((FailedPrecondition, CriError), match=r"no-such-program|start"):
        await workshop.handler.runtime.start(container_id)
