"""Names and id prefixes."""

from __future__ import annotations

import pytest

from crio.core.config import DnsConfig, Metadata
from crio.core.errors import AmbiguousId, CriError, InvalidArgument, NotFound
from crio.core.naming import container_name, find_id, infra_name, sandbox_name
from crio.core.podfiles import hosts_file, pod_hostname, resolv_conf

POD = Metadata("web", 1, "uid", "ns")


def test_names_are_made_of_what_the_client_gave() -> None:
    assert sandbox_name(POD) == "k8s_web_ns_uid_1"
    assert infra_name(POD) == "k8s_POD_web_ns_uid_1"
    assert container_name(Metadata("c", 3), POD) == "k8s_c_web_ns_uid_3"


BAD_NAMES = {
    "empty": Metadata("", 0, "uid", "ns"),
    "a way out of a directory": Metadata("web", 0, "../../etc", "ns"),
    "a line break": Metadata("web", 0, "uid", "ns\nx"),
    "too long": Metadata("w" * 254, 0, "uid", "ns"),
}


@pytest.mark.parametrize("metadata", BAD_NAMES.values(), ids=BAD_NAMES.keys())
def test_a_bad_part_is_named(metadata: Metadata) -> None:
    with pytest.raises(InvalidArgument, match="is not a name: expected letters, digits"):
        sandbox_name(metadata)


IDS = ("abc1", "abd2", "ffff")
PREFIXES = {
    "several": ("ab", AmbiguousId),
    "none": ("e", NotFound),
    "empty": ("", InvalidArgument),
}


def test_a_unique_prefix_finds_its_id() -> None:
    assert find_id(IDS, "abc", "container") == "abc1"
    assert find_id(IDS, "f", "container") == "ffff"


@pytest.mark.parametrize(("wanted", "error"), PREFIXES.values(), ids=PREFIXES.keys())
def test_other_prefixes_say_why_not(wanted: str, error: type[CriError]) -> None:
    with pytest.raises(error, match="container"):
        find_id(IDS, wanted, "container")


def test_resolv_conf_has_the_pods_dns() -> None:
    text = resolv_conf(DnsConfig(("10.0.0.10", "8.8.8.8"), ("a.local", "b.local"), ("ndots:5",)))
    assert text == "search a.local b.local\nnameserver 10.0.0.10\nnameserver 8.8.8.8\noptions ndots:5\n"
    assert resolv_conf(DnsConfig()) == ""


def test_a_value_cannot_add_a_line() -> None:
    with pytest.raises(InvalidArgument, match="control characters"):
        resolv_conf(DnsConfig(("10.0.0.10\nnameserver 6.6.6.6",)))


def test_host_names() -> None:
    assert pod_hostname("web", "f" * 64, "node", host_network=False) == "web"
    assert pod_hostname("", "f" * 64, "node", host_network=True) == "node"
    assert pod_hostname("", "f" * 64, "node", host_network=False) == "f" * 12
    with pytest.raises(InvalidArgument, match="at most 64"):
        pod_hostname("w" * 65, "f" * 64, "node", host_network=False)


def test_hosts_lists_the_pods_addresses() -> None:
    assert hosts_file("web", ("10.1.2.3", "fd00::3")).splitlines()[-2:] == ["10.1.2.3\tweb", "fd00::3\tweb"]
