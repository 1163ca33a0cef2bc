"""Choosing handlers that work on this host, and saying why others do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from crio.core.errors import FailedPrecondition, InvalidArgument
from crio.core.facts import CgroupFacts, CgroupMode
from crio.core.oci.inputs import HandlerSettings
from crio.host.runtime.handlers import HandlerConfig, Handlers, Surroundings, probe_handlers

HYBRID = CgroupFacts(CgroupMode.HYBRID, {"cpu": "/c"}, "/sys/fs/cgroup/unified")


def program(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


CRUN = 'case "$1" in --version) printf "crun version 1.8.1\\nspec: 1.0.0\\n";; *) exit 1;; esac'
FEATURES = '{"ociVersionMax":"1.2.1","mountOptions":["rro"]}'
RUNC = f"""case "$1" in --version) printf "runc version 1.3.6\\n";; features) echo '{FEATURES}';; esac"""


async def test_both_runtimes_of_this_host_work(handlers: Handlers, around: Surroundings) -> None:
    assert handlers.default.name == "runc" and handlers.get("") is handlers.default
    assert [handler.name for handler in handlers.all()] == ["crun", "runc"]
    assert handlers.get("runc").create_timeout_s == 240
    wrapped = handlers.get("crun").runtime.path == around.hybrid_path
    assert wrapped == (around.host.cgroups.mode is CgroupMode.HYBRID)
    assert any("mount namespace" in note for note in handlers.notes) == wrapped
    with pytest.raises(InvalidArgument, match="'nope' is unknown: expected one of crun, runc"):
        handlers.get("nope")


async def test_features_come_from_the_program(around: Surroundings, tmp_path: Path) -> None:
    path = program(tmp_path, "my-runc", RUNC)
    found = await probe_handlers([HandlerConfig("mine", path, create_timeout_s=3)], "mine", around)
    handler = found.default
    assert handler.features.oci_version == "1.2.0" and handler.features.name == "runc"
    assert handler.recursive_readonly == around.host.recursive_readonly and not handler.user_namespaces
    assert handler.runtime.global_args == ("--root=/run/runc",) and handler.create_timeout_s == 30


LEFT_OUT: dict[str, tuple[Callable[[Path], HandlerConfig], Callable[[Surroundings], Surroundings], str]] = {
    "no such program": (lambda _: HandlerConfig("bad", "/no/such"), lambda a: a, "runtime_path '/no/such' is no program"),
    "no program of that name": (lambda _: HandlerConfig("no-such-runtime"), lambda a: a, "'no-such-runtime' is no program"),
    "a program that fails": (lambda t: HandlerConfig("bad", program(t, "bad", "exit 1")), lambda a: a, "--version fails"),
    "another kind": (lambda _: HandlerConfig("kata", kind="vm"), lambda a: a, "runtime_type 'vm'"),
    "crun without the wrapper on a hybrid host": (
        lambda t: HandlerConfig("crun", program(t, "crun", CRUN)),
        lambda a: replace(a, host=replace(a.host, cgroups=HYBRID), hybrid_path="/no/such/wrapper"),
        "/no/such/wrapper is not there",
    ),
    "crun with a wrapper that may not work": (
        lambda t: HandlerConfig("crun", program(t, "crun", CRUN)),
        lambda a: replace(a, host=replace(a.host, cgroups=replace(HYBRID, v2_mount="/no/such/mount"))),
        "cannot be given a mount namespace",
    ),
}


@pytest.mark.parametrize("sentence", LEFT_OUT)
async def test_left_out(sentence: str, around: Surroundings, tmp_path: Path) -> None:
    make, change, words = LEFT_OUT[sentence]
    good = HandlerConfig("good", program(tmp_path, "good", RUNC))
    found = await probe_handlers([good, make(tmp_path)], "good", change(around))
    assert [handler.name for handler in found.all()] == ["good"]
    assert any(words in note for note in found.notes), found.notes


async def test_a_chosen_default_that_does_not_work_is_an_error(around: Surroundings) -> None:
    with pytest.raises(FailedPrecondition, match=r"default_runtime 'bad' cannot be used: .*/no/such"):
        await probe_handlers([HandlerConfig("bad", "/no/such")], "bad", around)


async def test_a_default_that_nobody_chose_is_replaced(around: Surroundings) -> None:
    config = HandlerConfig("crun", "/no/such", spec=HandlerSettings("crun"))
    found = await probe_handlers([config], "crun", replace(around, explicit_default=False))
    assert found.default.name == "runc"
    assert found.notes[-1] == "the default runtime handler is 'runc' instead of 'crun'"


async def test_no_handler_at_all_is_an_error(around: Surroundings) -> None:
    configs = [HandlerConfig("crun", "/no/such"), HandlerConfig("runc", "/no/such")]
    with pytest.raises(FailedPrecondition, match="no runtime handler works here"):
        await probe_handlers(configs, "crun", replace(around, explicit_default=False))
