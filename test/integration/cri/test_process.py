"""The process of a container: what it is given, who it is, what it may do."""

from __future__ import annotations

import json
import pathlib

import pytest

from test.integration.cri.kit import Pod, Pods

KERNEL_DEFAULTS = ("CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "SETGID", "SETUID", "SETPCAP", "NET_BIND_SERVICE", "KILL")
NUMBERS = {"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "FSETID": 4, "KILL": 5, "SETGID": 6, "SETUID": 7, "SETPCAP": 8}
NUMBERS |= {"NET_BIND_SERVICE": 10, "NET_ADMIN": 12, "NET_RAW": 13, "SYS_ADMIN": 21, "SYS_TIME": 25}


@pytest.fixture
def pod(pods: Pods) -> Pod:
    """A pod."""
    return pods.run()


def secured(**fields: object) -> dict[str, object]:
    """The part of a configuration with the security context."""
    return {"linux": {"security_context": fields}}


def mask(*names: str) -> int:
    """The bits of capabilities."""
    return sum(1 << NUMBERS[name] for name in names)


def capabilities(pod: Pod, **fields: object) -> dict[str, int]:
    """The capability sets of a process in a container, by the names of proc(5)."""
    lines = pod.once("grep ^Cap /proc/self/status", **fields)
    return {line.split()[0].removesuffix(":"): int(line.split()[1], 16) for line in lines}


def test_command_and_arguments_are_kept_word_by_word(pod: Pod) -> None:
    container = pod.start("printf", "<%s>\\n", args=["two words", "", "$HOME", "'q'", "ünïcode"])
    container.ended()
    assert container.lines() == ["<two words>", "<>", "<$HOME>", "<'q'>", "<ünïcode>"]


def test_the_environment_is_the_image_s_and_the_request_s(pod: Pod) -> None:
    envs = [{"key": "A", "value": "b25l"}, {"key": "EMPTY", "value": ""}, {"key": "PATH", "value": "L2JpbjovdXNyL2Jpbg=="}]
    lines = dict(line.partition("=")[::2] for line in pod.once("env", envs=envs))
    assert (lines["A"], lines["EMPTY"], lines["PATH"]) == ("one", "", "/bin:/usr/bin")
    assert lines["HOSTNAME"] == pod.once("hostname")[0]


def test_a_terminal_sets_term(pod: Pod) -> None:
    container = pod.start("sh", "-c", "echo $TERM; test -t 1 && echo tty", tty=True)
    container.ended()
    assert container.lines() == ["xterm\r", "tty\r"]


def test_the_working_folder_is_made_when_it_is_missing(pod: Pod) -> None:
    assert pod.once("pwd", working_dir="/tmp") == ["/tmp"]
    assert pod.once("pwd; stat -c %a .", working_dir="/made/for/this") == ["/made/for/this", "755"]


USERS = {
    "nobody asked": ({}, "0 0 0"),
    "a number": ({"run_as_user": {"value": 1234}}, "1234 0 0"),
    "a number of the image's passwd": ({"run_as_user": {"value": 33}}, "33 33 33"),
    "a name": ({"run_as_username": "www-data"}, "33 33 33"),
    "a number and a group": ({"run_as_user": {"value": 5}, "run_as_group": {"value": 6}}, "5 6 6"),
    "supplemental groups": ({"run_as_user": {"value": 5}, "run_as_group": {"value": 6}, "supplemental_groups": [7, 8]}, "5 6 6,7,8"),
}


@pytest.mark.parametrize("case", USERS)
def test_the_user_is_right_when_given(pod: Pod, case: str) -> None:
    fields, wanted = USERS[case]
    uid, gid, groups = wanted.split()
    (line,) = pod.once("echo $(id -u) $(id -g) $(id -G)", **secured(**fields))
    found_uid, found_gid, *found_groups = line.split()
    assert (found_uid, found_gid) == (uid, gid)
    assert set(groups.split(",")) <= set(found_groups) | {gid}
    assert set(found_groups) <= set(groups.split(",")) | {gid, "0"}


def test_a_user_that_the_image_does_not_know_gets_a_line_in_passwd(pod: Pod) -> None:
    assert pod.once("grep :4321: /etc/passwd | cut -d: -f3", **secured(run_as_user={"value": 4321})) == ["4321"]


def test_the_default_capabilities(pod: Pod) -> None:
    sets = capabilities(pod)
    assert sets["CapEff"] == sets["CapPrm"] == sets["CapBnd"] == mask(*KERNEL_DEFAULTS)
    assert sets["CapInh"] == sets["CapAmb"] == 0


CAPABILITIES = {
    "one more": ({"add_capabilities": ["NET_ADMIN"]}, mask(*KERNEL_DEFAULTS, "NET_ADMIN")),
    "one less": ({"drop_capabilities": ["CHOWN"]}, mask(*KERNEL_DEFAULTS) & ~mask("CHOWN")),
    "none": ({"drop_capabilities": ["ALL"]}, 0),
    "one alone": ({"drop_capabilities": ["ALL"], "add_capabilities": ["NET_RAW"]}, mask("NET_RAW")),
    "the long name": ({"add_capabilities": ["CAP_NET_RAW"]}, mask(*KERNEL_DEFAULTS, "NET_RAW")),
}


@pytest.mark.parametrize("case", CAPABILITIES)
def test_capabilities_with(pod: Pod, case: str) -> None:
    fields, wanted = CAPABILITIES[case]
    assert capabilities(pod, **secured(capabilities=fields))["CapBnd"] == wanted


def test_all_capabilities_are_those_that_the_host_has(pods: Pods) -> None:
    with open("/proc/self/status", encoding="ascii") as file:
        own = next(int(line.split()[1], 16) for line in file if line.startswith("CapBnd"))
    pod = pods.run(**secured(privileged=True))
    assert capabilities(pod, **secured(capabilities={"add_capabilities": ["ALL"]}))["CapBnd"] == own
    assert capabilities(pod, **secured(privileged=True))["CapEff"] == own


def test_another_user_has_no_effective_capability(pod: Pod) -> None:
    sets = capabilities(pod, **secured(run_as_user={"value": 1000}))
    assert sets["CapEff"] == sets["CapPrm"] == 0


SECCOMP = {"RuntimeDefault": ["Seccomp:\t2", "refused"], "Unconfined": ["Seccomp:\t0", "allowed"]}


@pytest.mark.parametrize("kind", SECCOMP)
def test_seccomp_is(pod: Pod, kind: str) -> None:
    script = "grep ^Seccomp: /proc/self/status; unshare -U true 2>/dev/null && echo allowed || echo refused"
    assert pod.once(script, **secured(seccomp={"profile_type": kind})) == SECCOMP[kind]


def test_a_seccomp_profile_of_the_host_is_applied(pods: Pods, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "profile.json"
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}
    path.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    profile = {"profile_type": "Localhost", "localhost_ref": str(path)}
    assert pods.run().once("mkdir /tmp/x || echo refused", **secured(seccomp=profile)) == ["refused"]


@pytest.mark.parametrize("wanted", [True, False])
def test_no_new_privileges_is(pod: Pod, wanted: bool) -> None:
    assert pod.once("grep NoNewPrivs /proc/self/status", **secured(no_new_privs=wanted)) == [f"NoNewPrivs:\t{int(wanted)}"]


def test_a_read_only_root_can_only_be_written_where_something_is_mounted(pod: Pod) -> None:
    script = "touch /x 2>/dev/null || echo refused; touch /dev/shm/x && echo shm; touch /tmp/x 2>/dev/null || echo refused"
    assert pod.once(script, **secured(readonly_rootfs=True)) == ["refused", "shm", "refused"]
    assert pod.once("touch /x && echo written") == ["written"]


def test_masked_and_read_only_paths(pod: Pod) -> None:
    fields = secured(masked_paths=["/proc/meminfo", "/sys/firmware", "/bin/ls"], readonly_paths=["/proc/sys"])
    script = "wc -c </proc/meminfo; wc -c </bin/ls; find /sys/firmware | wc -l; echo 1 2>/dev/null >/proc/sys/kernel/domainname || echo ro"
    assert pod.once(script, **fields) == ["0", "0", "1", "ro"]


def test_the_devices_are_the_standard_ones_and_none_of_the_host(pod: Pod) -> None:
    standard = "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"
    assert " ".join(pod.once("ls /dev")) == standard


def test_devices_of_the_request(pod: Pod) -> None:
    devices = [{"host_path": "/dev/null", "container_path": "/dev/mine", "permissions": "rw"}]
    assert pod.once("test -c /dev/mine && stat -c %t:%T /dev/mine", devices=devices) == ["1:3"]


def test_oom_score_and_limits(pod: Pod) -> None:
    assert pod.once("cat /proc/self/oom_score_adj", linux={"resources": {"oom_score_adj": 777}}) == ["777"]
    with open("/proc/self/oom_score_adj", encoding="ascii") as file:
        own = int(file.read())
    (score,) = pod.once("cat /proc/self/oom_score_adj", linux={"resources": {"oom_score_adj": -999}})
    assert int(score) <= max(own, -999)
