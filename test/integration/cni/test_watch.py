"""The daemon follows what happens in the directories of configurations and plugins."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from crio.core.cni.config import parse_list
from crio.core.cni.errors import NetworkNotReady, PluginFailed
from crio.core.cni.record import intent
from crio.core.cni.values import Attachment, PodNetwork
from crio.host.cni.manager import CniManager, CniOptions
from crio.host.cni.records import Records
from test.integration.cni.conftest import Running
from test.integration.cni.node import Node, Scripted
from test.support.waiting import eventually_async


async def eventually_ready(manager: CniManager, ready: bool, words: str = "") -> None:
    """Waits until the status is as expected and its message has the words."""

    async def as_expected() -> bool:
        status = manager.status()
        assert status.ready == ready and words in status.message, status
        return True

    await eventually_async(as_expected, 10, f"network ready is {ready}")


async def test_a_network_comes_goes_and_comes_again(node: Node, running: Running) -> None:
    async with running() as manager:
        status = manager.status()
        assert (status.ready, status.reason) == (False, "NetworkPluginNotReady")
        assert status.message == f"no CNI configuration file in {node.root}/net.d. Has your network provider started?"
        path = node.configure(node.bridge_plugin())
        await manager.wait_ready(10)
        path.unlink()
        await eventually_ready(manager, False, "no CNI configuration file")
        node.configure(node.bridge_plugin())
        await eventually_ready(manager, True)


async def test_a_directory_that_is_replaced_is_watched_again(node: Node, running: Running) -> None:
    node.configure(node.bridge_plugin())
    async with running() as manager:
        shutil.rmtree(node.root / "net.d")
        await eventually_ready(manager, False)
        (node.root / "net.d").mkdir()
        node.configure(node.bridge_plugin())
        await eventually_ready(manager, True)
        os.rename(node.root / "net.d", node.root / "moved")
        await eventually_ready(manager, False)
        os.rename(node.root / "moved", node.root / "net.d")
        await eventually_ready(manager, True)


async def test_directories_that_are_missing_are_made(tmp_path: Path) -> None:
    manager = CniManager(CniOptions(str(tmp_path / "a" / "net.d"), (str(tmp_path / "bin"),), str(tmp_path / "cache")))
    await manager.start()
    await manager.stop()
    assert (tmp_path / "a" / "net.d").is_dir() and (tmp_path / "bin").is_dir()


async def test_a_broken_file_is_named_with_its_reason(node: Node, running: Running) -> None:
    (node.root / "net.d" / "05-broken.conflist").write_text('{"name": "x", "plugins": [{"type": "/bin/sh"}]}')
    os.mkfifo(node.root / "net.d" / "06-pipe.conf")
    (node.root / "net.d" / "07-loop.conf").symlink_to("07-loop.conf")
    async with running() as manager:
        message = manager.status().message
        assert "05-broken.conflist.plugins[0].type: expected a file name without a directory, got '/bin/sh'" in message
        assert "06-pipe.conf: expected a regular file" in message
        assert "07-loop.conf: Too many levels of symbolic links" in message
        node.configure(node.bridge_plugin())
        await eventually_ready(manager, True)


async def test_a_missing_plugin_is_named_and_the_network_is_ready_once_it_is_there(node: Node, running: Running) -> None:
    node.configure({"type": "scripted"})
    async with running() as manager:
        await eventually_ready(manager, False, f"CNI plugin 'scripted' is not in {node.root}/plugins, /usr/lib/cni")
        Scripted(node.root / "plugins")
        await eventually_ready(manager, True)


async def test_a_program_that_may_not_be_executed_is_no_plugin(node: Node, plugin: Scripted, running: Running) -> None:
    (node.root / "plugins" / "scripted").chmod(0o644)
    node.configure({"type": "scripted"})
    async with running() as manager:
        await eventually_ready(manager, False, "CNI plugin 'scripted' is not in")


async def test_the_first_file_by_name_wins_at_once(node: Node, plugin: Scripted, running: Running) -> None:
    node.configure({"type": "scripted"}, file_name="50-late.conflist", name="late")
    async with running() as manager:
        node.configure({"type": "scripted"}, file_name="10-early.conflist", name="early")

        async def early() -> bool:
            pod = node.pod()
            await manager.add(pod)
            return f"early-{pod.sandbox_id}-eth0" in node.records()

        await eventually_async(early, 10, "pods get the early network")


async def test_the_network_named_in_the_settings_is_the_only_one(node: Node, running: Running) -> None:
    node.configure(node.bridge_plugin(), file_name="10-other.conflist", name="other")
    async with running(default_network="wanted") as manager:
        await eventually_ready(manager, False, "no CNI network named 'wanted' (cni_default_network)")
        node.configure(node.bridge_plugin(), file_name="99-wanted.conflist", name="wanted")
        await eventually_ready(manager, True)


async def test_loopback_alone_is_no_pod_network(node: Node, running: Running) -> None:
    node.configure({"type": "loopback"}, file_name="99-loopback.conflist", name="lo")
    async with running() as manager:
        await eventually_ready(manager, False, "no CNI configuration file")


async def test_waiting_ends_with_a_sentence(node: Node, running: Running) -> None:
    async with running() as manager:
        with pytest.raises(NetworkNotReady, match=r"^the pod network was not ready within 0.05 s: no CNI configuration file"):
            await manager.wait_ready(0.05)


async def test_who_waits_is_told_when_the_daemon_stops(node: Node, running: Running) -> None:
    outcome: list[str] = []

    async def wait(manager: CniManager) -> None:
        try:
            await manager.wait_ready(60)
        except NetworkNotReady as error:
            outcome.append(str(error))

    async with asyncio.TaskGroup() as group, running() as manager:
        group.create_task(wait(manager))
        await asyncio.sleep(0)
    assert outcome == ["the network manager is being stopped"]


async def test_a_network_that_answers_status_is_ready_when_it_says_so(node: Node, plugin: Scripted, running: Running) -> None:
    plugin.on("STATUS", 'echo \'{"code":50,"msg":"controller is away"}\'; exit 1')
    node.configure({"type": "scripted"}, version="1.1.0")
    async with running() as manager:
        await eventually_ready(manager, False, "CNI plugin 'scripted' failed STATUS: controller is away (code 50)")
        with pytest.raises(NetworkNotReady, match="controller is away"):
            await manager.add(node.pod())
        plugin.on("STATUS", "exit 0")
        await manager.wait_ready(10)
        assert manager.status().ready


async def test_with_a_grace_period_a_network_that_stays_away_is_noticed(node: Node, plugin: Scripted, running: Running) -> None:
    node.configure({"type": "scripted"}, version="1.1.0")
    async with running(status_grace_period_s=0.3) as manager:
        assert manager.status().ready
        plugin.on("STATUS", "exit 1")
        asked = len(plugin.calls("STATUS"))

        async def asked_again() -> bool:
            return len(plugin.calls("STATUS")) > asked

        await eventually_async(asked_again, 10, "the network is asked again")
        await eventually_ready(manager, False, "is not ready: CNI plugin 'scripted' failed STATUS")
        plugin.on("STATUS", "exit 0")
        await eventually_ready(manager, True)


async def test_without_a_grace_period_a_ready_network_is_not_asked_again(node: Node, plugin: Scripted, running: Running) -> None:
    node.configure({"type": "scripted"}, version="1.1.0")
    async with running() as manager:
        plugin.on("STATUS", "exit 1")
        await manager.add(node.pod())
        assert manager.status().ready
    assert plugin.calls("STATUS") == ["STATUS"]


async def test_an_older_network_is_not_asked_for_its_status(node: Node, plugin: Scripted, running: Running) -> None:
    node.configure({"type": "scripted"}, version="1.0.0")
    async with running() as manager:
        assert manager.status().ready
    assert plugin.calls() == []


async def test_a_collection_names_every_attachment_that_is_valid(node: Node, plugin: Scripted, running: Running) -> None:
    node.configure({"type": "scripted"}, version="1.1.0")
    async with running() as manager:
        pod = node.pod()
        await manager.add(pod)
        from_elsewhere = node.pod("given")
        await manager.check_gc([from_elsewhere])
        valid = plugin.stdin("GC")["cni.dev/valid-attachments"]
        assert valid == [{"containerID": name, "ifname": "eth0"} for name in ("given", pod.sandbox_id)]
        await manager.delete(pod)


async def test_no_pod_is_attached_while_garbage_is_collected(node: Node, plugin: Scripted, running: Running) -> None:
    node.configure({"type": "scripted"}, version="1.1.0")
    gate = node.root / "gate"
    os.mkfifo(gate)
    plugin.on("GC", f"read line < {gate}")

    async def collecting() -> bool:
        return bool(plugin.calls("GC"))

    async with running() as manager, asyncio.TaskGroup() as group:
        group.create_task(manager.check_gc([]))
        await eventually_async(collecting, 10, "the collection runs")
        attached = group.create_task(manager.add(node.pod()))
        await asyncio.sleep(0)
        assert plugin.calls("ADD") == []
        with gate.open("w") as stream:
            stream.write("go\n")
        await attached
    assert [call.split()[0] for call in plugin.calls() if call.split()[0] in ("GC", "ADD")] == ["GC", "ADD"]


async def test_a_network_can_forbid_collection(node: Node, plugin: Scripted, running: Running) -> None:
    path = node.root / "net.d" / "10.conflist"
    path.write_text('{"name":"n","cniVersion":"1.1.0","disableGC":true,"plugins":[{"type":"scripted"}]}')
    async with running() as manager:
        await manager.check_gc([])
    assert plugin.calls("GC") == []


async def test_leaked_records_are_undone_while_the_collection_of_the_network_fails(node: Node, plugin: Scripted, running: Running) -> None:
    path = node.configure({"type": "scripted"}, version="1.1.0")
    Records(str(node.root / "cache")).write(intent(parse_list(path.read_bytes(), "t"), Attachment("leaked", "")))
    plugin.on("GC", "exit 1")

    async def detached() -> bool:
        return plugin.calls("DEL") == ["DEL leaked"] and node.records() == []

    async with running() as manager:
        with pytest.raises(PluginFailed, match="failed GC"):
            await manager.check_gc([PodNetwork("alive", "n", "ns", "u", "")])
        await eventually_async(detached, 10, "the leaked attachment is undone")
