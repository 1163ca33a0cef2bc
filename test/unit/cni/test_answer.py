"""What a plugin answers."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crio.core.cni.answer import parse_failure, parse_result, result_object
from crio.core.cni.errors import PluginFailed
from crio.core.cni.values import CniDns, CniInterface

INTERFACES = [{"name": "br9", "mac": "02:00"}, {"name": "eth0", "sandbox": "/run/netns/x"}]
RESULTS = {
    "0.2.0": ({"ip4": {"ip": "10.1.0.2/24"}, "ip6": {"ip": "fd00::2/64"}}, ("10.1.0.2", "fd00::2")),
    "0.2.0 with one family": ({"ip6": {"ip": "fd00::2/64"}}, ("fd00::2",)),
    "0.3.1": ({"ips": [{"version": "4", "address": "10.1.0.2/24", "interface": 1}], "interfaces": INTERFACES}, ("10.1.0.2",)),
    "1.0.0, both families in the plugin's order": (
        {"ips": [{"address": "fd00::2/64"}, {"address": "10.1.0.2/24", "gateway": "10.1.0.1"}]},
        ("fd00::2", "10.1.0.2"),
    ),
    "an address of the node is none of the pod": (
        {
            "ips": [{"address": "10.1.0.1/24", "interface": 0}, {"address": "10.1.0.2/24", "interface": 1}],
            "interfaces": INTERFACES,
        },
        ("10.1.0.2",),
    ),
    "an interface that is not in the list": ({"ips": [{"address": "10.1.0.2/24", "interface": 7}]}, ("10.1.0.2",)),
    "nothing": ({}, ()),
}


@pytest.mark.parametrize("case", RESULTS)
def test_addresses(case: str) -> None:
    document, expected = RESULTS[case]
    assert parse_result(json.dumps(document).encode(), "bridge").ips == expected


def test_an_empty_answer_is_a_result_without_addresses() -> None:
    assert parse_result(b" \n", "tuning").raw == b"{}"


def test_everything_else_of_a_result() -> None:
    dns = {"nameservers": ["10.1.0.1"], "domain": "d", "search": ["s"], "options": ["o"]}
    raw = json.dumps({"cniVersion": "1.0.0", "interfaces": INTERFACES, "dns": dns}).encode()
    found = parse_result(raw, "bridge", ports_by_plugin=True)
    assert found.interfaces == (CniInterface("br9", "02:00"), CniInterface("eth0", "", "/run/netns/x"))
    assert found.dns == CniDns(("10.1.0.1",), "d", ("s",), ("o",))
    assert found.ports_by_plugin
    assert result_object(found) == json.loads(raw)


BAD = {
    "not JSON": (b"hello", "result of CNI plugin 'p': not valid JSON"),
    "not an object": (b"[]", "expected a JSON object, got list"),
    "an address that is none": (b'{"ips":[{"address":"10.1.0"}]}', "ips[0].address: expected an address with a prefix length"),
    "no address": (b'{"ips":[{}]}', "ips[0].address: expected an address"),
    "an old address that is none": (b'{"ip4":{"ip":"x"}}', "ip4.ip: expected an address"),
    "ips that are no list": (b'{"ips":{}}', "ips: expected a list"),
}


@pytest.mark.parametrize("case", BAD)
def test_an_answer_that_is_no_result(case: str) -> None:
    raw, words = BAD[case]
    with pytest.raises(PluginFailed) as caught:
        parse_result(raw, "p")
    assert words in str(caught.value)


FAILURES = {
    "an error object": (b'{"code":11,"msg":"m","details":"d"}', b"noise", 1, 11, "m; d (code 11)"),
    "only details": (b'{"code":100,"details":"d"}', b"", 1, 100, "d (code 100)"),
    "a known code alone": (b'{"code":11}', b"", 1, 11, "try again later (code 11)"),
    "an unknown code alone, words on standard error": (b'{"code":123}', b"oops\n", 1, 123, "oops (code 123)"),
    "no code": (b'{"msg":"m"}', b"", 3, 0, "m (exit code 3)"),
    "words on standard error": (b"", b" panic: x \n", 2, 0, "panic: x (exit code 2)"),
    "words on standard output": (b"usage", b"", 2, 0, "usage (exit code 2)"),
    "no words": (b"", b"", -9, 0, "no error message (killed by signal 9)"),
    "members of the wrong type": (b'{"code":"x"}', b"e", 1, 0, "e (exit code 1)"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_failures_in_words(case: str) -> None:
    stdout, stderr, returncode, code, words = FAILURES[case]
    failure = parse_failure(stdout, stderr, returncode)
    assert (failure.code, failure.words) == (code, words)


@given(st.binary(max_size=200), st.binary(max_size=200), st.integers(-64, 255))
def test_a_failure_can_always_be_read_and_is_never_long(stdout: bytes, stderr: bytes, returncode: int) -> None:
    assert 0 < len(parse_failure(stdout, stderr * 100, returncode).words) < 2100


@given(st.binary(max_size=300))
def test_a_result_is_read_or_refused(raw: bytes) -> None:
    with contextlib.suppress(PluginFailed):
        parse_result(raw, "p")
