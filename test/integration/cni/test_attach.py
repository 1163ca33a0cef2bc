"""Pods get a network from the real plugins and give it back, whatever happens in between."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from crio.core.cni.config import parse_list
from crio.core.cni.errors import BadPodNetwork, NetworkNotReady, PluginFailed, PluginMissing, PluginTimedOut
from crio.core.cni.record import intent
from crio.core.cni.values import Attachment
from crio.core.config import PortMapping, Protocol
from crio.core.errors import Internal
from crio.host.cni.records import Records
from test.integration.cni.conftest import Running
from test.integration.cni.node import Node, Scripted
from test.support.waiting import eventually_async


async def eventually_empty(node: Node, what: str) -> None:
    """Waits until no record is left."""

    async def empty() -> bool:
        return node.records() == []

    await eventually_async(empty, 10, what)


async def test_a_pod_gets_an_address_and_gives_it_back(node: Node, running: Running) -> None:
    node.configure(node.bridge_plugin())
    pod = node.pod()
    async with running() as manager:
        result = await manager.add(pod)
        assert result.ips == ("10.99.0.2",) and result.ips[0] in node.leases()
        assert result.ips[0] in node.run("ip", "address", "show", "eth0", inside=pod.netns_path.rpartition("/")[2])
        assert json.loads(result.raw)["cniVersion"] == "1.0.0"
        assert not result.ports_by_plugin
        assert manager.cached(pod.sandbox_id) == result
        assert node.records() == [f"test-{pod.sandbox_id}-eth0"]
        await manager.delete(pod)
    assert (node.records(), node.leases(), node.ports_of_bridge()) == ([], [], [])


async def test_both_families(node: Node, running: Running) -> None:
    node.configure(node.bridge_plugin(ipv6=True))
    pod = node.pod()
    async with running() as manager:
        assert (await manager.add(pod)).ips == ("10.99.0.2", "fd99::2")
        await manager.delete(pod)
    assert node.leases() == []


async def test_a_new_daemon_knows_the_address_and_detaches_with_the_old_configuration(node: Node, running: Running) -> None:
    path = node.configure(node.bridge_plugin())
    pod = node.pod()
    async with running() as manager:
        result = await manager.add(pod)
    path.unlink()
    async with running() as manager:
        assert manager.cached(pod.sandbox_id) == result
        assert manager.cached("another") is None
        await manager.delete(pod)
    assert (node.records(), node.leases(), node.ports_of_bridge()) == ([], [], [])


async def test_a_pod_whose_namespace_is_gone_gives_its_address_back(node: Node, running: Running) -> None:
    node.configure(node.bridge_plugin())
    pod = node.pod()
    async with running() as manager:
        await manager.add(pod)
        node.drop_pod(pod)
        await manager.delete(pod)
    assert (node.records(), node.leases()) == ([], [])


async def test_detaching_again_runs_nothing(node: Node, plugin: Scripted, running: Running) -> None:
    node.configure({"type": "scripted"})
    pod = node.pod()
    async with running() as manager:
        await manager.add(pod)
        await manager.delete(pod)
        await manager.delete(pod)
    assert [call.split()[0] for call in plugin.calls()] == ["ADD", "DEL"]


async def test_without_a_record_the_present_network_is_asked_to_detach(node: Node, plugin: Scripted, running: Running) -> None:
    node.configure({"type": "scripted"})
    pod = node.pod()
    async with running() as manager:
        await manager.delete(pod)
    assert plugin.calls() == [f"DEL {pod.sandbox_id} {pod.netns_path}"]


async def test_without_a_record_and_a_network_there_is_nothing_to_detach(node: Node, running: Running) -> None:
    async with running() as manager:
        await manager.delete(node.pod())


async def test_plugins_are_told_what_the_protocol_says(node: Node, plugin: Scripted, running: Running) -> None:
    node.configure(
        node.bridge_plugin(), {"type": "scripted", "capabilities": {"portMappings": True, "io.kubernetes.cri.pod-annotations": True}}
    )
    plugin.on("ADD", 'echo "{\\"dns\\":{\\"nameservers\\":[\\"$CNI_IFNAME\\"]},\\"ips\\":[{\\"address\\":\\"10.99.0.77/24\\"}]}"')
    pod = replace(node.pod(ports=(PortMapping(Protocol.TCP, 80, 8080),)), annotations={"a": "b"})
    async with running() as manager:
        result = await manager.add(pod)
        assert (result.ips, result.dns.nameservers, result.ports_by_plugin) == (("10.99.0.77",), ("eth0",), True)
        given = plugin.stdin("ADD")
        before = given["prevResult"]
        assert isinstance(before, dict) and before["ips"][0]["address"] == "10.99.0.2/24"
        assert given["runtimeConfig"] == {
            "portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}],
            "io.kubernetes.cri.pod-annotations": {"a": "b"},
        }
        await manager.delete(pod)
    assert plugin.stdin("DEL")["prevResult"] == json.loads(result.raw)
    assert plugin.stdin("DEL")["runtimeConfig"] == given["runtimeConfig"]
    assert node.leases() == []


async def test_the_portmap_plugin_forwards_the_host_port(node: Node, running: Running) -> None:
    node.configure(node.bridge_plugin(), {"type": "portmap", "capabilities": {"portMappings": True}})
    pod = node.pod(ports=(PortMapping(Protocol.TCP, 80, 8080),))
    async with running() as manager:
        assert (await manager.add(pod)).ports_by_plugin
        node.serve(pod, "tcp", 80, "pod")
        assert node.ask("tcp", "10.99.0.1", 8080) == "pod"
        await manager.delete(pod)
        assert node.ask("tcp", "10.99.0.1", 8080).startswith("error")


async def test_many_pods_at_once(node: Node, running: Running) -> None:
    node.configure(node.bridge_plugin())
    pods = [node.pod() for _ in range(6)]
    async with running() as manager:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(manager.add(pod)) for pod in pods]
        assert len({task.result().ips for task in tasks}) == 6
        async with asyncio.TaskGroup() as group:
            for pod in pods:
                group.create_task(manager.delete(pod))
    assert (node.records(), node.leases()) == ([], [])


FAILURES = {
    "an error object": (
        'echo \'{"code":111,"msg":"no address","details":"pool empty"}\'; exit 1',
        PluginFailed,
        "CNI plugin 'scripted' failed ADD: no address; pool empty (code 111)",
    ),
    "a crash": ("echo boom >&2; exit 3", PluginFailed, "CNI plugin 'scripted' failed ADD: boom (exit code 3)"),
    "a signal": ("kill -9 $$", PluginFailed, "CNI plugin 'scripted' failed ADD: no error message (killed by signal 9)"),
    "an answer that is no result": ("echo hello", PluginFailed, "result of CNI plugin 'scripted': not valid JSON"),
    "an endless answer": ("yes | head -c 3000000", PluginFailed, "wrote more than 1048576 bytes as its answer to ADD"),
    "no end": ("exec sleep 600", PluginTimedOut, "CNI plugin 'scripted' did not end ADD within"),
}


@pytest.mark.parametrize("case", FAILURES)
async def test_a_plugin_that_fails_leaves_nothing_behind(case: str, node: Node, plugin: Scripted, running: Running) -> None:
    lines, error, words = FAILURES[case]
    node.configure(node.bridge_plugin(), {"type": "scripted"})
    plugin.on("ADD", lines)
    pod = node.pod()
    async with running(add_timeout_s=1.0) as manager:
        with pytest.raises(error) as caught:
            await manager.add(pod)
        assert words in str(caught.value)
        assert [call.split()[0] for call in plugin.calls()] == ["ADD", "DEL"]
        assert (node.records(), node.leases(), node.ports_of_bridge()) == ([], [], [])
        assert manager.pending_deletes() == ()


async def test_the_plugins_own_code_is_kept(node: Node, plugin: Scripted, running: Running) -> None:
    node.configure({"type": "scripted"})
    plugin.on("ADD", "echo '{\"code\":11}'; exit 1")
    async with running() as manager:
        with pytest.raises(PluginFailed, match="try again later") as caught:
            await manager.add(node.pod())
    assert caught.value.plugin_code == 11


async def test_a_plugin_that_goes_away_is_named_with_the_directories(node: Node, plugin: Scripted, running: Running) -> None:
    node.configure(node.bridge_plugin(), {"type": "scripted"})
    async with running() as manager:
        (node.root / "plugins" / "scripted").unlink()
        with pytest.raises(PluginMissing) as caught:
            await manager.add(node.pod())
        assert str(caught.value) == f"CNI plugin 'scripted' is not in {node.root}/plugins, /usr/lib/cni"
        # The missing plugin may hold something, so its DEL is tried again once it is back.
        assert [pending.last_error for pending in manager.pending_deletes()] == [str(caught.value)]
        assert (node.leases(), node.ports_of_bridge()) == ([], [])
        plugin.install()
        await eventually_empty(node, "the detachment is done once the plugin is back")


async def test_a_cancelled_attachment_is_undone_in_the_background(node: Node, plugin: Scripted, running: Running) -> None:
    node.configure(node.bridge_plugin(), {"type": "scripted"})
    plugin.on("ADD", "exec sleep 600")

    async def started() -> bool:
        return bool(plugin.calls("ADD"))

    async with running() as manager:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(manager.add(node.pod()))
            await eventually_async(started, 10, "the plugin has been started")
            task.cancel()
        await eventually_empty(node, "the attachment is undone")
        assert (node.leases(), node.ports_of_bridge()) == ([], [])


async def test_a_detachment_that_fails_is_tried_until_it_is_done(node: Node, plugin: Scripted, running: Running) -> None:
    node.configure(node.bridge_plugin(), {"type": "scripted"})
    pod = node.pod()
    async with running() as manager:
        await manager.add(pod)
        plugin.on("DEL", 'echo \'{"code":100,"msg":"switch is away"}\'; exit 1')
        with pytest.raises(PluginFailed, match="switch is away"):
            await manager.delete(pod)
        assert node.leases() == [], "the other plugins have given back what they had"
        assert [pending.sandbox_id for pending in manager.pending_deletes()] == [pod.sandbox_id]
        plugin.on("DEL", "exit 0")
        await eventually_empty(node, "the detachment is done")


async def test_a_detachment_that_fails_is_done_by_the_next_daemon(node: Node, plugin: Scripted, running: Running) -> None:
    node.configure(node.bridge_plugin(), {"type": "scripted"})
    dead, alive = node.pod(), node.pod()
    async with running() as manager:
        await manager.add(dead)
        await manager.add(alive)
        plugin.on("DEL", "exit 1")
        with pytest.raises(PluginFailed):
            await manager.delete(dead)
    plugin.on("DEL", "exit 0")
    node.drop_pod(dead)
    async with running() as manager:
        await manager.check_gc([alive])

        async def only_alive() -> bool:
            return node.records() == [f"test-{alive.sandbox_id}-eth0"]

        await eventually_async(only_alive, 10, "the dead pod's record is gone")
        assert manager.cached(alive.sandbox_id) is not None
        await manager.delete(alive)


async def test_what_a_crash_left_half_way_is_undone_by_the_next_daemon(node: Node, plugin: Scripted, running: Running) -> None:
    path = node.configure({"type": "scripted"})
    network = parse_list(path.read_bytes(), "test")
    Records(str(node.root / "cache")).write(intent(network, Attachment("crashed", "/run/netns/not-there")))
    async with running() as manager:
        assert manager.cached("crashed") is None
        await manager.check_gc([])
        await eventually_empty(node, "the intent is undone")
    assert plugin.calls() == ["DEL crashed"]


async def test_attachments_of_other_runtimes_and_of_this_one_stay(node: Node, plugin: Scripted, running: Running) -> None:
    path = node.configure({"type": "scripted"})
    network = parse_list(path.read_bytes(), "test")
    foreign = replace(intent(network, Attachment("foreign", "")), owned=False)
    Records(str(node.root / "cache")).write(foreign)
    pod = node.pod()
    async with running() as manager:
        await manager.add(pod)
        await manager.check_gc([])
        await manager.delete(pod)
    assert node.records() == ["test-foreign-eth0"]
    assert [call.split()[0] for call in plugin.calls()] == ["ADD", "DEL"]


async def test_a_damaged_record_is_undone_with_the_present_network(node: Node, running: Running) -> None:
    node.configure(node.bridge_plugin())
    pod = node.pod()
    async with running() as manager:
        await manager.add(pod)
        node.damage_record()
        assert manager.cached(pod.sandbox_id) is None
        await manager.delete(pod)
    assert (node.records(), node.leases()) == ([], [])


async def test_attaching_what_is_attached_starts_over(node: Node, running: Running) -> None:
    node.configure(node.bridge_plugin())
    pod = node.pod()
    async with running() as manager:
        await manager.add(pod)
        await manager.add(pod)
        assert len(node.leases()) == 1
        await manager.delete(pod)
    assert node.leases() == []


@pytest.mark.parametrize("path", ["", "relative", "/does/not/exist", "/dev/null"])
async def test_a_path_that_is_no_namespace_is_refused(path: str, node: Node, plugin: Scripted, running: Running) -> None:
    node.configure({"type": "scripted"})
    async with running() as manager:
        with pytest.raises(BadPodNetwork, match=f"network namespace: expected the path of a namespace, got '{path}'"):
            await manager.add(replace(node.pod(), netns_path=path))
    assert plugin.calls() == [] and node.records() == []


async def test_without_a_configuration_attaching_says_so(node: Node, running: Running) -> None:
    async with running() as manager:
        with pytest.raises(NetworkNotReady, match=r"no CNI configuration file in .*net\.d\. Has your network provider started\?"):
            await manager.add(node.pod())


async def test_a_record_that_cannot_be_written_stops_before_the_first_plugin(node: Node, plugin: Scripted, running: Running) -> None:
    node.configure({"type": "scripted"})
    (node.root / "cache" / "results").write_text("in the way")
    async with running() as manager:
        with pytest.raises(Internal, match=r"cannot write the CNI record .*/results/test-sandbox"):
            await manager.add(node.pod())
    assert plugin.calls() == []
