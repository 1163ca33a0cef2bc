"""What a configuration file may say, and what is said when it is wrong."""

from __future__ import annotations

import json

import pytest

from crio.core.cni.choose import Candidate, choose_network
from crio.core.cni.config import NetworkConfig, parse_list, parse_network
from crio.core.cni.errors import BadNetworkConfig

BRIDGE = {"type": "bridge", "bridge": "br9"}
LIST = {"name": "net", "cniVersion": "1.0.0", "plugins": [BRIDGE]}


def network(name: str, *types: str) -> NetworkConfig:
    raw = json.dumps({"name": name, "cniVersion": "1.0.0", "plugins": [{"type": kind} for kind in types]}).encode()
    return parse_list(raw, name)


def test_a_list_keeps_the_plugins_in_order_and_their_own_keys() -> None:
    portmap = {"type": "portmap", "capabilities": {"portMappings": True, "x": False}}
    raw = {**LIST, "disableGC": True, "plugins": [BRIDGE, portmap]}
    found = parse_network(json.dumps(raw).encode(), "10-net.conflist")
    assert [plugin.type for plugin in found.plugins] == ["bridge", "portmap"]
    assert found.plugins[0].values["bridge"] == "br9"
    assert found.plugins[1].capabilities == {"portMappings"}
    assert found.has_capability("portMappings") and not found.has_capability("x")
    assert (found.name, found.version(), found.disable_gc, found.source) == ("net", (1, 0, 0), True, "10-net.conflist")


@pytest.mark.parametrize("name", ["10-net.conf", "10-net.json"])
def test_a_file_of_one_plugin_is_a_chain_of_one(name: str) -> None:
    found = parse_network(json.dumps({"name": "net", "cniVersion": "0.4.0", **BRIDGE}).encode(), name)
    assert [plugin.type for plugin in found.plugins] == ["bridge"]
    again = parse_list(found.raw, "record")
    assert (again.name, again.cni_version, again.plugins) == ("net", "0.4.0", found.plugins)


VERSIONS = {
    "none is the oldest": ({"cniVersion": None}, "0.1.0"),
    "one": ({"cniVersion": "0.3.1"}, "0.3.1"),
    "the newest known of several": ({"cniVersion": "0.4.0", "cniVersions": ["0.4.0", "1.0.0", "1.1.0", "9.0.0"]}, "1.1.0"),
}


@pytest.mark.parametrize("case", VERSIONS)
def test_version(case: str) -> None:
    members, expected = VERSIONS[case]
    assert parse_network(json.dumps({**LIST, **members}).encode(), "a.conflist").cni_version == expected


BAD = {
    "not JSON": ("a.conflist", b"{", "a.conflist: not valid JSON"),
    "empty": ("a.conflist", b"", "a.conflist: not valid JSON"),
    "not an object": ("a.conf", b"[]", "a.conf: expected a JSON object, got list"),
    "too long": ("a.conf", b" " * (1 << 20) + b"{}", "a.conf: 1048578 bytes, more than the limit of 1048576"),
    "one plugin in a list's file": (
        "a.conflist",
        {"name": "n", **BRIDGE},
        "a.conflist.plugins: expected a list of plugins, got nothing; one plugin alone belongs in a file named .conf",
    ),
    "nothing in a list's file": ("a.conflist", {"name": "n"}, "a.conflist.plugins: expected a list of plugins, got nothing"),
    "a list in one plugin's file": ("a.conf", LIST, "a.conf.plugins: a list of plugins belongs in a file named .conflist"),
    "a list without plugins": ("a.conflist", {**LIST, "plugins": []}, "a.conflist.plugins: expected at least one plugin"),
    "plugins that are text": ("a.conflist", {**LIST, "plugins": "x"}, 'a.conflist.plugins: expected a list, got "x"'),
    "a plugin without a type": ("a.conflist", {**LIST, "plugins": [{}]}, "a.conflist.plugins[0].type: expected the name"),
    "a type with a path": (
        "a.conflist",
        {**LIST, "plugins": [{"type": "../../tmp/evil"}]},
        "a.conflist.plugins[0].type: expected a file name without a directory, got '../../tmp/evil'",
    ),
    "a type that is the directory": ("a.conf", {"name": "n", "type": ".."}, "a.conf.type: expected a file name"),
    "no name": ("a.conflist", {"plugins": [BRIDGE]}, "a.conflist.name: expected 1 to 160 letters"),
    "a name with a path": ("a.conflist", {**LIST, "name": "../x"}, "got '../x'"),
    "a name with a line end": ("a.conflist", {**LIST, "name": "x\n"}, "got 'x\\n'"),
    "a name that is too long": ("a.conflist", {**LIST, "name": "x" * 161}, "a.conflist.name: expected 1 to 160"),
    "an unknown version": ("a.conflist", {**LIST, "cniVersion": "2.0.0"}, "a.conflist.cniVersion: expected one of 0.1.0,"),
    "a capability that is no flag": (
        "a.conf",
        {"name": "n", "type": "t", "capabilities": {"x": 1}},
        "a.conf.capabilities.x: expected true or false, got 1",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_file_is_refused_with_a_sentence(case: str) -> None:
    file_name, body, words = BAD[case]
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(BadNetworkConfig) as caught:
        parse_network(raw, file_name)
    assert words in str(caught.value)


def test_a_chain_from_a_record_is_checked_too() -> None:
    with pytest.raises(BadNetworkConfig, match="record: not valid JSON"):
        parse_list(b"x", "record")


A, B, LOOP = network("a", "bridge"), network("b", "ptp"), network("lo", "loopback")

CHOICES = {
    "the first file by name": ([Candidate("20.conf", B), Candidate("10.conf", A)], "", "a"),
    "the named one": ([Candidate("10.conf", A), Candidate("20.conf", B)], "b", "b"),
    "not one that is only loopback": ([Candidate("00.conf", LOOP), Candidate("10.conf", A)], "", "a"),
    "only loopback, when it is named": ([Candidate("00.conf", LOOP)], "lo", "lo"),
    "not a broken one": ([Candidate("00.conf", None, "00.conf: broken"), Candidate("10.conf", A)], "", "a"),
    "not one whose plugin is missing": ([Candidate("00.conf", B, "no ptp"), Candidate("10.conf", A)], "", "a"),
}


@pytest.mark.parametrize("case", CHOICES)
def test_choice(case: str) -> None:
    candidates, name, expected = CHOICES[case]
    chosen = choose_network(candidates, name, "/etc/cni/net.d").network
    assert chosen is not None and chosen.name == expected


MESSAGES = {
    "nothing": ([], "", "no CNI configuration file in /d. Has your network provider started?"),
    "only loopback": ([Candidate("99.conf", LOOP)], "", "no CNI configuration file in /d. Has your network provider started?"),
    "only broken": (
        [Candidate("1.conf", None, "1.conf: bad"), Candidate("2.conf", None, "2.conf: worse")],
        "",
        "no CNI configuration file in /d. Has your network provider started? Not usable: 1.conf: bad; 2.conf: worse",
    ),
    "the named one is not there": (
        [Candidate("1.conf", A), Candidate("2.conf", B)],
        "c",
        "no CNI network named 'c' (cni_default_network) in /d, which has a, b",
    ),
    "named, in an empty directory": ([], "c", "no CNI network named 'c' (cni_default_network) in /d, which has no network"),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_why_there_is_no_network(case: str) -> None:
    candidates, name, expected = MESSAGES[case]
    choice = choose_network(candidates, name, "/d")
    assert (choice.network, choice.message) == (None, expected)
