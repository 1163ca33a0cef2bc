"""The record of an attachment."""

from __future__ import annotations

import base64
import json

import pytest

from crio.core.cni.answer import parse_result
from crio.core.cni.config import parse_list
from crio.core.cni.record import Record, dump_record, file_suffix, intent, parse_record
from crio.core.cni.values import Attachment
from crio.core.image.errors import BadDocument

CHAIN = {"name": "net", "cniVersion": "1.0.0", "plugins": [{"type": "portmap", "capabilities": {"portMappings": True}}]}
NETWORK = parse_list(json.dumps(CHAIN).encode(), "test")
ATTACHMENT = Attachment("abc", "/run/netns/x", (("IgnoreUnknown", "1"),), {"portMappings": [{"hostPort": 1}]})


def test_an_intent_is_a_record_without_a_result() -> None:
    document = json.loads(dump_record(intent(NETWORK, ATTACHMENT)))
    assert json.loads(base64.b64decode(document.pop("config"))) == CHAIN
    assert document == {
        "kind": "cniCacheV1",
        "containerId": "abc",
        "ifName": "eth0",
        "networkName": "net",
        "netns": "/run/netns/x",
        "cniArgs": [["IgnoreUnknown", "1"]],
        "capabilityArgs": {"portMappings": [{"hostPort": 1}]},
        "crioOwner": "crio",
    }


def test_a_record_survives_the_disk() -> None:
    record = intent(NETWORK, ATTACHMENT)
    assert parse_record(dump_record(record), "f") == record
    assert record.cni_result() is None
    full = record.with_result(parse_result(b'{"ips":[{"address":"10.0.0.2/8"}]}', "p"))
    again = parse_record(dump_record(full), "f")
    assert again == full
    result = again.cni_result()
    assert result is not None and result.ips == ("10.0.0.2",) and result.ports_by_plugin


def test_the_file_is_named_as_others_name_it() -> None:
    name = intent(NETWORK, ATTACHMENT).file_name()
    assert name == "net-abc-eth0" and name.endswith(file_suffix("abc"))


def test_a_record_of_another_runtime_is_read_and_is_not_ours() -> None:
    raw = {"kind": "cniCacheV1", "containerId": "x", "config": "", "ifName": "eth0", "networkName": "n", "result": {}}
    found = parse_record(json.dumps(raw).encode(), "f")
    assert not found.owned and found.result == {}
    assert "crioOwner" not in json.loads(dump_record(found))
    result = found.cni_result()
    assert result is not None and not result.ports_by_plugin


@pytest.mark.parametrize("config", [b"x", b'{"plugins":[{}]}'])
def test_ports_are_a_plugins_only_if_the_chain_says_so(config: bytes) -> None:
    result = Record(ATTACHMENT, "n", config, {}).cni_result()
    assert result is not None and not result.ports_by_plugin


BAD = {
    "not JSON": ("", "f: not valid JSON"),
    "another kind": ({"kind": "x"}, "f.kind: expected cniCacheV1"),
    "config that is no base64": ({"kind": "cniCacheV1", "config": "*"}, "f.config: expected base64"),
    "arguments that are no pairs": ({"kind": "cniCacheV1", "cniArgs": [["a"]]}, "f.cniArgs: expected pairs of texts"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_record(case: str) -> None:
    body, words = BAD[case]
    with pytest.raises(BadDocument) as caught:
        parse_record(json.dumps(body).encode() if body else b"", "f")
    assert words in str(caught.value)


def test_a_record_of_a_daemon_with_another_store_is_not_ours() -> None:
    body = dump_record(Record(ATTACHMENT, "n", b"{}", None), owner="crio:/srv/one")
    assert parse_record(body, "n", owner="crio:/srv/one").owned
    assert not parse_record(body, "n", owner="crio:/srv/two").owned
