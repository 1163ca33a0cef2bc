"""What a pod has of its own: its name, its resolver, its hosts, its shared memory, its kernel parameters, its address."""

from __future__ import annotations

import os

import grpc
import pytest

from test.integration.cri.kit import Pods, refused


def test_the_hostname_is_the_request_s(pods: Pods) -> None:
    container = pods.run(hostname="front-door").start()
    assert container.says("hostname; cat /etc/hostname; echo $HOSTNAME") == "front-door\nfront-door\nfront-door"


@pytest.mark.inside
def test_without_a_hostname_it_is_the_start_of_the_id(pods: Pods) -> None:
    pod = pods.run()
    assert pod.start().says("hostname") == pod.id[:12]


def test_resolv_conf_is_made_of_the_request(pods: Pods) -> None:
    dns = {"servers": ["192.0.2.1", "192.0.2.2"], "searches": ["a.invalid", "b.invalid"], "options": ["ndots:5", "edns0"]}
    text = pods.run(dns_config=dns).start().says("cat /etc/resolv.conf")
    assert text.splitlines() == [
        "search a.invalid b.invalid",
        "nameserver 192.0.2.1",
        "nameserver 192.0.2.2",
        "options ndots:5 edns0",
    ]


def test_without_a_configuration_resolv_conf_is_the_host_s(pods: Pods) -> None:
    host = ""
    if os.path.exists("/etc/resolv.conf"):
        with open("/etc/resolv.conf", encoding="utf-8") as file:
            host = file.read()
    assert pods.run().start().says("cat /etc/resolv.conf") == host.strip()


@pytest.mark.inside
def test_etc_hosts_has_the_pod_s_name_and_address(pods: Pods) -> None:
    pod = pods.run(hostname="shop")
    lines = pod.start().says("cat /etc/hosts").splitlines()
    assert "127.0.0.1\tlocalhost" in lines
    assert f"{pod.ip}\tshop" in lines


def test_the_address_is_on_the_interface_and_loopback_is_up(pods: Pods) -> None:
    pod = pods.run()
    container = pod.start()
    assert pod.ip in container.says("ip -4 addr show eth0")
    assert "127.0.0.1" in container.says("ip -4 addr show lo")
    assert container.says("ip route | grep -c ^default") == "1"


def test_pods_reach_each_other(pods: Pods) -> None:
    server = pods.run()
    server.start("sh", "-c", "while :; do echo answer | nc -l -p 7000; done")
    client = pods.run().start()
    assert client.says(f"for i in 1 2 3 4 5 6 7 8 9 10; do nc -w 2 {server.ip} 7000 && break; done") == "answer"


def test_shared_memory_has_64_mib_and_is_the_pod_s(pods: Pods) -> None:
    pod = pods.run()
    one, two = pod.start(), pod.start()
    assert one.says("df -k /dev/shm | tail -1 | awk '{print $2}'") == str(64 << 10)
    one.says("echo shared > /dev/shm/x")
    assert two.says("cat /dev/shm/x") == "shared"
    assert one.says("stat -c %a /dev/shm") == "1777"


def test_safe_sysctls_are_set_in_the_pod(pods: Pods) -> None:
    wanted = {"net.ipv4.ip_local_port_range": "20000 30000", "kernel.shm_rmid_forced": "1", "net.ipv4.tcp_syncookies": "0"}
    container = pods.run(linux={"sysctls": wanted}).start()
    assert container.says("cat /proc/sys/net/ipv4/ip_local_port_range").split() == ["20000", "30000"]
    assert container.says("cat /proc/sys/kernel/shm_rmid_forced /proc/sys/net/ipv4/tcp_syncookies").split() == ["1", "0"]


@pytest.mark.inside
def test_unsafe_sysctls_are_left_out(pods: Pods) -> None:
    with open("/proc/sys/vm/swappiness", encoding="ascii") as file:
        before = file.read()
    pods.run(linux={"sysctls": {"vm.swappiness": "1"}})
    with open("/proc/sys/vm/swappiness", encoding="ascii") as file:
        assert file.read() == before


@pytest.mark.inside
def test_a_sysctl_that_the_kernel_refuses_is_an_error_that_names_it(pods: Pods) -> None:
    with refused(grpc.StatusCode.INTERNAL, "net.ipv4.ip_forward"):
        pods.run(linux={"sysctls": {"net.ipv4.ip_forward": "not a number"}})
    assert pods.listed() == []


REFUSED = {
    "a hostname beyond 64": ({"hostname": "h" * 65}, "hostname"),
    "a hostname of two lines": ({"hostname": "a\nb"}, "control character"),
    "a name server of two lines": ({"dns_config": {"servers": ["192.0.2.1\nsearch evil"]}}, "dns_config.servers"),
    "a search domain of two lines": ({"dns_config": {"searches": ["a\rb"]}}, "dns_config.searches"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.inside
def test_a_pod_is_refused_for(pods: Pods, case: str) -> None:
    fields, words = REFUSED[case]
    with refused(grpc.StatusCode.INVALID_ARGUMENT, words):
        pods.run(**fields)
    assert pods.listed() == []
