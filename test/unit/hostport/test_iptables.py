"""Host ports as text for iptables-restore, and read back from iptables-save."""

from __future__ import annotations

import pytest

from crio.core.config import PortMapping, Protocol
from crio.core.hostport import iptables
from crio.core.hostport.mapping import Family, Forward, forwards

MAPPINGS = (PortMapping(Protocol.TCP, 80, 8080), PortMapping(Protocol.UDP, 53, 53, "192.0.2.1"))
V4 = forwards(["10.1.0.2"], MAPPINGS)
V6 = forwards(["fd00::2"], MAPPINGS)
NOTHING = iptables.parse_saved("*nat\n:PREROUTING ACCEPT [0:0]\n:\nCOMMIT\n")


def applied(script: str) -> iptables.Saved:
    """What iptables-save would print after an addition: the nat part, with -I as -A."""
    nat = script.partition("*mangle")[0]
    return iptables.parse_saved(nat.replace("-I ", "-A "))


def test_the_first_addition_makes_the_shared_chains_and_the_guard() -> None:
    script = iptables.add_script(NOTHING, Family.IPV4, "abc", V4)
    assert ":KUBE-HOSTPORTS - [0:0]" in script and ":CRIO-HOSTPORTS-MASQ - [0:0]" in script
    assert "-A PREROUTING -m addrtype --dst-type LOCAL -j KUBE-HOSTPORTS" in script
    assert "-A PREROUTING -d 127.0.0.0/8 ! -i lo -j DROP" in script
    assert "-s 127.0.0.0/8 -d 10.1.0.2" in script


def test_a_later_addition_leaves_the_shared_chains_alone() -> None:
    script = iptables.add_script(applied(iptables.add_script(NOTHING, Family.IPV4, "abc", V4)), Family.IPV4, "def", V4)
    assert ":KUBE-HOSTPORTS" not in script and "PREROUTING" not in script and "--comment def" in script


def test_ipv6_has_brackets_and_nothing_about_loopback() -> None:
    script = iptables.add_script(NOTHING, Family.IPV6, "abc", V6)
    assert "--to-destination [fd00::2]:80" in script and "127." not in script and "mangle" not in script


@pytest.mark.parametrize(("family", "expected"), [(Family.IPV4, V4), (Family.IPV6, V6)])
def test_what_was_added_is_read_back(family: Family, expected: tuple[Forward, ...]) -> None:
    saved = applied(iptables.add_script(NOTHING, family, "abc", expected))
    assert saved.forwards(family) == {"abc": expected}


def test_chain_names_fit_the_kernel() -> None:
    script = iptables.add_script(NOTHING, Family.IPV4, "a" * 64, V4)
    assert all(len(line.split()[0]) - 1 <= 28 for line in script.splitlines() if line.startswith(":"))


def test_removal_takes_the_sandboxs_rules_and_chains_and_no_others() -> None:
    one = iptables.add_script(NOTHING, Family.IPV4, "abc", V4[:1])
    both = applied(one + iptables.add_script(applied(one), Family.IPV4, "def", V4[1:]))
    script = iptables.remove_script(both, "abc").splitlines()
    assert [line.split()[0] for line in script if line.startswith("-")] == ["-D", "-D", "-X", "-X"]
    assert not any("def" in line for line in script)
    assert iptables.remove_script(both, "ghi") == ""


FOREIGN = {
    "no comment": "-A KUBE-HOSTPORTS -p tcp -m tcp --dport 1 -j KUBE-HP-X",
    "no target": "-A KUBE-HOSTPORTS -p tcp -m tcp --dport 1 -m comment --comment abc -j OTHER",
    "no port": "-A KUBE-HOSTPORTS -p tcp -m comment --comment abc -j KUBE-HP-X",
    "no protocol": "-A KUBE-HOSTPORTS --dport 1 -m comment --comment abc -j KUBE-HP-X",
    "another chain": "-A KUBE-SERVICES -p tcp -m tcp --dport 1 -m comment --comment abc -j KUBE-HP-X",
}


@pytest.mark.parametrize("case", FOREIGN)
def test_rules_of_others_are_passed_over(case: str) -> None:
    saved = iptables.parse_saved(f"{FOREIGN[case]}\n-A KUBE-HP-X -p tcp -j DNAT --to-destination 10.0.0.1:1\n")
    assert saved.forwards(Family.IPV4) == {}
