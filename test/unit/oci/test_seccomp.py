"""Profiles: the built-in one for containers with and without powers, and files of both forms."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crio.core.errors import InvalidArgument
from crio.core.seccomp.builtin import BUILTIN, NAMESPACE_FLAGS
from crio.core.seccomp.names import ALLOWED, BY_ARCHITECTURE, BY_CAPABILITY
from crio.core.seccomp.profile import PROFILE_LIMIT_BYTES, SeccompProfile, Target, parse_profile, to_document

PLAIN = Target("amd64", frozenset({"CAP_CHOWN"}), (6, 1))
ADMIN = Target("amd64", frozenset({"CAP_SYS_ADMIN"}), (6, 1))


def actions(target: Target, name: str, profile: SeccompProfile = BUILTIN) -> list[tuple[str, int | None]]:
    """What the rules without conditions on arguments say about a call."""
    rules: Any = to_document(profile, target).get("syscalls", [])
    return [(rule["action"], rule.get("errnoRet")) for rule in rules if name in rule["names"] and "args" not in rule]


ALLOW, EPERM, ENOSYS = ("SCMP_ACT_ALLOW", None), ("SCMP_ACT_ERRNO", 1), ("SCMP_ACT_ERRNO", 38)

BUILT_IN: dict[str, tuple[Target, str, list[tuple[str, int | None]]]] = {
    "reading is allowed": (PLAIN, "read", [ALLOW]),
    "what is unknown is not there": (PLAIN, "brand_new_call", []),
    "mounting needs a capability": (PLAIN, "mount", [EPERM]),
    "with it, mounting is allowed": (ADMIN, "mount", [ALLOW]),
    "new namespaces need a capability": (PLAIN, "unshare", [EPERM]),
    "clone3 is not there": (PLAIN, "clone3", [ENOSYS]),
    "clone3 is there with a capability": (ADMIN, "clone3", [ALLOW]),
    "io_uring is not there, whatever the capability": (ADMIN, "io_uring_setup", []),
    "keys are not there": (ADMIN, "keyctl", []),
    "a call that either of two capabilities opens, without": (PLAIN, "bpf", [EPERM]),
    "a call that either of two capabilities opens, with one": (Target("amd64", frozenset({"CAP_BPF"}), (6, 1)), "bpf", [ALLOW]),
    "calls of this architecture": (PLAIN, "arch_prctl", [ALLOW]),
    "calls of another architecture": (Target("arm64", frozenset(), (6, 1)), "arch_prctl", []),
}


@pytest.mark.parametrize("sentence", BUILT_IN)
def test_built_in(sentence: str) -> None:
    target, name, expected = BUILT_IN[sentence]
    assert actions(target, name) == expected


def test_no_call_is_in_two_tables() -> None:
    gated = [name for names in BY_CAPABILITY.values() for name in names]
    special = [name for names in BY_ARCHITECTURE.values() for name in names]
    assert not set(ALLOWED) & (set(gated) | set(special))
    assert len(ALLOWED) == len(set(ALLOWED))


@pytest.mark.parametrize(("architecture", "index"), [("amd64", 0), ("s390x", 1)])
def test_clone_of_processes_is_told_from_namespaces(architecture: str, index: int) -> None:
    rules: Any = to_document(BUILTIN, Target(architecture, frozenset(), (6, 1)))["syscalls"]
    clone = [rule for rule in rules if rule["names"] == ("clone",)]
    assert len(clone) == 1 + len(NAMESPACE_FLAGS)
    assert all(rule["args"][0]["index"] == index for rule in clone)
    assert clone[0]["action"] == "SCMP_ACT_ALLOW" and clone[0]["args"][0]["value"] == 0x7E020000


FILE = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 38,
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}],
    "flags": ["SECCOMP_FILTER_FLAG_LOG"],
    "syscalls": [
        {"names": ["a"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_X"]}},
        {"names": ["b"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_X", "CAP_Y"]}},
        {"names": ["c"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
        {"names": ["d"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["amd64"]}},
        {"names": ["e"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
        {"names": ["f"], "action": "SCMP_ACT_ALLOW", "excludes": {"minKernel": "4.8"}},
        {"name": "g", "action": "SCMP_ACT_ERRNO", "errnoRet": 0, "args": None, "includes": None},
        {"names": ["h"], "action": "SCMP_ACT_LOG", "args": [{"index": 1, "value": 2, "valueTwo": 3, "op": "SCMP_CMP_MASKED_EQ"}]},
    ],
}


def names(target: Target) -> str:
    document: Any = to_document(parse_profile(json.dumps(FILE).encode(), "/p"), target)
    return "".join(name for rule in document["syscalls"] for name in rule["names"])


def test_rules_of_a_file_depend_on_the_container() -> None:
    assert names(Target("amd64", frozenset(), (6, 1))) == "begh"
    assert names(Target("arm64", frozenset({"CAP_X"}), (4, 7))) == "acdfgh"


def test_members_of_a_file_arrive() -> None:
    document: Any = to_document(parse_profile(json.dumps(FILE).encode(), "/p"), PLAIN)
    assert document["defaultErrnoRet"] == 38 and document["flags"] == ["SECCOMP_FILTER_FLAG_LOG"]
    assert document["architectures"] == ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32")
    rules = {rule["names"][0]: rule for rule in document["syscalls"]}
    assert rules["g"]["errnoRet"] == 0
    assert rules["h"]["args"] == [{"index": 1, "value": 2, "valueTwo": 3, "op": "SCMP_CMP_MASKED_EQ"}]


def test_architectures_of_the_other_form_stay() -> None:
    body = b'{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64"],"listenerPath":"/l","listenerMetadata":"m"}'
    document = to_document(parse_profile(body, "/p"), PLAIN)
    assert document == {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ("SCMP_ARCH_X86_64",),
        "listenerPath": "/l",
        "listenerMetadata": "m",
    }


def test_a_map_without_this_architecture_leaves_the_usual_ones() -> None:
    document: Any = to_document(parse_profile(json.dumps(FILE).encode(), "/p"), Target("arm64", frozenset(), (6, 1)))
    assert document["architectures"] == ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM")


def test_an_unknown_architecture_has_no_list() -> None:
    assert "architectures" not in to_document(BUILTIN, Target("mips", frozenset(), (6, 1)))


def profile(**changes: Any) -> bytes:
    return json.dumps({"defaultAction": "SCMP_ACT_ALLOW"} | changes).encode()


def rule(**changes: Any) -> bytes:
    return profile(syscalls=[{"names": ["a"], "action": "SCMP_ACT_ALLOW"} | changes])


BAD: dict[str, tuple[bytes, str]] = {
    "not JSON": (b"{", "is not JSON"),
    "nested beyond reason": (b"[" * 200000, "is not JSON"),
    "too large": (b" " * (PROFILE_LIMIT_BYTES + 1), "larger"),
    "no object": (b"[]", "the profile is not usable: expected an object"),
    "no default action": (b"{}", "defaultAction ''"),
    "an unknown action": (rule(action="SCMP_ACT_SING"), "action 'SCMP_ACT_SING'"),
    "a rule that is no object": (profile(syscalls=[5]), "syscalls entry"),
    "rules that are no list": (profile(syscalls={}), "syscalls is not usable: expected a list"),
    "a name that is no text": (rule(names=[5]), "names is not usable"),
    "an unknown operator": (rule(args=[{"index": 0, "value": 1, "op": "IS"}]), "op 'IS'"),
    "an index that is no number": (rule(args=[{"index": "0", "op": "SCMP_CMP_EQ"}]), "index is not usable"),
    "a number that is true": (rule(errnoRet=True), "errnoRet is not usable"),
    "a negative number": (rule(errnoRet=-1), "errnoRet is not usable"),
    "a text that is a number": (profile(listenerPath=5), "listenerPath is not usable"),
    "a kernel of one part": (rule(includes={"minKernel": "4"}), "minKernel '4'"),
    "a condition that is no object": (rule(includes=[5]), "includes or excludes"),
}


@pytest.mark.parametrize("sentence", BAD)
def test_bad_files(sentence: str) -> None:
    body, words = BAD[sentence]
    with pytest.raises(InvalidArgument) as caught:
        parse_profile(body, "/p")
    assert words in str(caught.value) and "'/p'" in str(caught.value)
