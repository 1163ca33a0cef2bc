"""Records to JSON and back: what is written is read as the same value; what does not fit is named."""

from __future__ import annotations

import dataclasses

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crio.core import config
from crio.core.codec import decode, encode
from crio.core.lifecycle import ContainerState, SandboxState
from crio.core.records import Container, NamespacePaths, ProcessRef, Sandbox

METADATA = config.Metadata("web", 2, "uid-1", "default")
SANDBOX = Sandbox(
    id="a" * 64,
    name="k8s_web_default_uid-1_2",
    config=config.SandboxConfig(
        METADATA,
        hostname="web",
        dns=config.DnsConfig(("10.0.0.10",), ("svc.local",), ("ndots:5",)),
        port_mappings=(config.PortMapping(config.Protocol.UDP, 53, 5353, "127.0.0.1"),),
        labels={"app": "web"},
        security=config.Security(
            namespaces=config.NamespaceOptions(
                pid=config.NamespaceMode.CONTAINER,
                userns=config.UserNamespace(config.NamespaceMode.POD, (config.IdMapping(100000, 0, 65536),), ()),
            ),
            seccomp=config.SecurityProfile(config.ProfileType.RUNTIME_DEFAULT),
        ),
    ),
    state=SandboxState.READY,
    created_at_ns=1,
    handler="runc",
    cgroup_parent="/kubepods/pod1",
    hostname="web",
    log_directory="/var/log/pods/web",
    run_dir="/run/x",
    namespaces=NamespacePaths(net="/run/netns/x"),
    infra_process=ProcessRef(12, 345),
)
CONTAINER = Container(
    id="b" * 64,
    name="k8s_c_web_default_uid-1_0",
    sandbox_id=SANDBOX.id,
    config=config.ContainerConfig(
        config.Metadata("c"), config.ImageSpec("busybox"), envs=(("A", "1"), ("B", "")), mounts=(config.Mount("/data", "/srv"),)
    ),
    state=ContainerState.RUNNING,
    created_at_ns=1,
    image_id="c" * 64,
    image_ref="busybox@sha256:x",
    image_name="busybox:latest",
    log_path="/l",
    bundle="/b",
)


@pytest.mark.parametrize("record", [SANDBOX, CONTAINER], ids=["a sandbox", "a container"])
def test_a_record_survives_the_disk(record: Sandbox | Container) -> None:
    body = orjson.dumps(encode(record))
    assert decode(type(record), orjson.loads(body)) == record


@given(st.dictionaries(st.text(), st.text()), st.integers(0, 2**63), st.text(max_size=300))
def test_any_text_and_number_survives(labels: dict[str, str], number: int, text: str) -> None:
    record = dataclasses.replace(CONTAINER, created_at_ns=number, message=text, config=dataclasses.replace(CONTAINER.config, labels=labels))
    assert decode(Container, encode(record)) == record


def test_members_at_their_default_are_left_out() -> None:
    assert encode(NamespacePaths()) == {}


def test_unknown_members_are_ignored() -> None:
    assert decode(ProcessRef, {"pid": 1, "start_time": 2, "newer": True}) == ProcessRef(1, 2)


WRONG = {
    "a member is missing": ({"pid": 1}, "ProcessRef.start_time is missing"),
    "a text instead of a number": ({"pid": "1", "start_time": 2}, "ProcessRef.pid: expected int, found '1'"),
    "a boolean is no number": ({"pid": True, "start_time": 2}, "ProcessRef.pid: expected int, found True"),
    "no object at all": ([], "ProcessRef: expected an object, found []"),
}


@pytest.mark.parametrize(("value", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_what_does_not_fit_is_named(value: object, sentence: str) -> None:
    with pytest.raises(ValueError, match="^" + sentence.replace("[", r"\[").replace("]", r"\]") + "$"):
        decode(ProcessRef, value)  # type: ignore[arg-type]


def test_a_bad_enum_list_tuple_and_mapping_are_named() -> None:
    good = encode(CONTAINER)
    assert isinstance(good, dict)
    for change, words in (
        ({"state": "FLYING"}, "'FLYING' is none of CREATING"),
        ({"annotations": []}, "expected an object"),
        ({"user": {"supplemental_groups": 3}}, "expected a list"),
        ({"config": {**good["config"], "envs": [["A"]]}}, "expected 2 items, found 1"),  # type: ignore[dict-item]
    ):
        with pytest.raises(ValueError, match=words):
            decode(Container, {**good, **change})  # type: ignore[dict-item]


def test_values_without_a_json_form_are_refused() -> None:
    with pytest.raises(TypeError, match="set has no JSON form"):
        encode({1})
