"""Item 96 and others with the mark P: what people do with podman."""

from __future__ import annotations

import concurrent.futures
import json
import os
import pathlib
import re
import signal
import socket
import subprocess

import pytest

from test.conmon.harness import CONMON, is_running, kill
from test.conmon.podman.engine import COMMAND_TIMEOUT_S, IMAGE, Engine, terminal
from test.support.waiting import eventually

AT_ONCE = 20
EXECS = int(os.environ.get("CONMON_EXECS", "24"))
WORKERS = 8
RECORD = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]{18}[+-]\d\d:\d\d (stdout|stderr) [FP] ")
# A terminal's size may arrive a moment after its program: wait for it.
SIZED = b"while test \"$(stty size)\" != '%s'; do sleep 0.1; done; echo si''zed\n"
LOOP = "trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done"


def test_1_podman_knows_the_monitor(podman: Engine) -> None:
    info = json.loads(podman.ok("info", "--format", "json"))
    assert info["host"]["conmon"]["path"] == CONMON
    assert info["host"]["conmon"]["version"].startswith("conmon version 2.")
    assert info["version"]["Version"].startswith(podman.tools.version)


def test_96_run_shows_output_and_status(podman: Engine) -> None:
    done = podman.run("--rm", IMAGE, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"err\n")
    assert podman.ok("ps", "-aq") == ""


def test_96_run_feeds_stdin(podman: Engine) -> None:
    data = b"line of input\n" * 50_000
    done = podman.run("--rm", "-i", IMAGE, "cat", stdin=data)
    assert done.returncode == 0 and done.stdout == data


def test_96_run_detached_then_logs_wait_and_the_record_format(podman: Engine) -> None:
    name = podman.start(IMAGE, "sh", "-c", "echo one; echo two >&2; printf three; exit 4")
    assert podman.ok("wait", name) == "4"
    done = podman.call("logs", name)
    assert b"one" in done.stdout and b"three" in done.stdout and done.stderr == b"two\n"
    assert all(RECORD.match(line) for line in podman.log_file(name).read_text().splitlines())
    assert podman.inspect(name, ".State.ExitCode") == "4"


def test_96_logs_follow_to_the_end(podman: Engine) -> None:
    name = podman.start(IMAGE, "sh", "-c", "for i in 1 2 3; do echo line $i; sleep 0.2; done")
    assert podman.ok("logs", "-f", name) == "line 1\nline 2\nline 3"


def test_96_a_terminal_without_input(podman: Engine) -> None:
    done = podman.run("--rm", "-t", IMAGE, "sh", "-c", "tty; exit 3")
    assert done.returncode == 3 and b"/dev/pts/0\r\n" in done.stdout


def test_96_an_interactive_terminal_with_its_size(podman: Engine) -> None:
    with terminal(podman, "run", "--rm", "-it", *podman.run_words(IMAGE, "sh"), size=(33, 101)) as screen:
        screen.type(SIZED % b"33 101")
        screen.expect(b"sized")
        screen.resize(44, 120)
        screen.type(SIZED.replace(b"si''zed", b"re''sized") % b"44 120")
        screen.expect(b"resized")
        screen.type(b"exit 5\n")
        assert screen.wait() == 5


def test_96_create_start_and_attach(podman: Engine) -> None:
    name = podman.ok("create", "-i", *podman.run_words(IMAGE, "sh", "-c", "read word; echo got $word; exit 6"))
    done = podman.call("start", "-a", "-i", name, stdin=b"hello\n")
    assert (done.returncode, done.stdout) == (6, b"got hello\n")


def test_96_attach_to_a_running_container(podman: Engine) -> None:
    """`podman attach` adds an empty line of its own."""
    name = podman.ok("run", "-d", "-i", *podman.run_words(IMAGE, "sh", "-c", "read word; echo got $word"))
    done = podman.call("attach", name, stdin=b"again\n")
    assert (done.returncode, done.stdout) == (0, b"got again\n\n")


def test_96_detaching_and_attaching_a_terminal(podman: Engine) -> None:
    with terminal(podman, "run", "-it", "--detach-keys", "ctrl-x", "--name", "det", *podman.run_words(IMAGE, "sh")) as screen:
        screen.type(b"echo fi''rst\n")
        screen.expect(b"first")
        screen.type(b"\x18")
        assert screen.wait() == 0
    with terminal(podman, "attach", "det") as screen:
        screen.type(b"echo sec''ond; exit 3\n")
        screen.expect(b"second")
        screen.wait()
    assert podman.ok("wait", "det") == "3"


EXECS_TABLE: dict[str, tuple[tuple[str, ...], bytes, int, bytes]] = {
    "plain": (("{c}", "sh", "-c", "echo hi; exit 3"), b"", 3, b"hi\n"),
    "with stdin": (("-i", "{c}", "cat"), b"words\n", 0, b"words\n"),
    "with a terminal": (("-t", "{c}", "sh", "-c", "tty; exit 2"), b"", 2, b"/dev/pts/0\r\n"),
    "a missing command": (("{c}", "/no/such/thing"), b"", 127, b""),
    "a directory": (("{c}", "/etc"), b"", 126, b""),
    "killed": (("{c}", "sh", "-c", "kill -9 $$"), b"", 137, b""),
}


@pytest.mark.parametrize("case", EXECS_TABLE)
def test_96_exec(podman: Engine, case: str) -> None:
    words, stdin, status, output = EXECS_TABLE[case]
    name = podman.start(IMAGE, "sleep", "1000")
    done = podman.call("exec", *(word.format(c=name) for word in words), stdin=stdin)
    assert (done.returncode, done.stdout) == (status, output), done.stderr


def test_96_exec_at_a_terminal(podman: Engine) -> None:
    name = podman.start(IMAGE, "sleep", "1000")
    with terminal(podman, "exec", "-it", name, "sh", size=(20, 90)) as screen:
        screen.type(SIZED % b"20 90")
        screen.expect(b"sized")
        screen.type(b"exit 9\n")
        assert screen.wait() == 9


def test_96_exec_detached(podman: Engine) -> None:
    name = podman.start("--tmpfs", "/scratch", IMAGE, "sleep", "1000")
    podman.ok("exec", "-d", name, "sh", "-c", "touch /scratch/done")
    eventually(lambda: podman.call("exec", name, "test", "-e", "/scratch/done").returncode == 0, COMMAND_TIMEOUT_S, "the file")


@pytest.mark.parametrize(("command", "status"), [("/no/such/thing", 127), ("/etc", 126)])
def test_96_run_of_a_command_that_cannot_run(podman: Engine, command: str, status: int) -> None:
    assert podman.run("--rm", IMAGE, command).returncode == status


def test_96_stop_kill_and_restart(podman: Engine) -> None:
    name = podman.start(IMAGE, "sh", "-c", LOOP)
    podman.logged(name, "up")
    podman.ok("stop", "-t", "10", name)
    assert podman.inspect(name, ".State.ExitCode") == "0"
    podman.ok("start", name)
    first = podman.inspect(name, ".State.ConmonPid")
    podman.ok("restart", "-t", "0", name)
    assert podman.inspect(name, ".State.ConmonPid") != first
    podman.ok("kill", name)
    assert podman.ok("wait", name) == "137"


def test_96_pause_and_unpause(podman: Engine) -> None:
    name = podman.start(IMAGE, "sh", "-c", "while :; do echo tick; sleep 0.05; done")
    podman.logged(name, "tick")
    podman.ok("pause", name)
    path = podman.log_file(name)
    size = path.stat().st_size
    assert podman.inspect(name, ".State.Status") == "paused"
    assert path.stat().st_size == size
    podman.ok("unpause", name)
    eventually(lambda: path.stat().st_size > size, COMMAND_TIMEOUT_S, "more ticks")


def test_96_a_health_check(podman: Engine) -> None:
    name = podman.start("--health-cmd", "test -e /etc/passwd", "--health-interval", "disable", IMAGE, "sleep", "1000")
    podman.ok("healthcheck", "run", name)
    assert podman.inspect(name, ".State.Healthcheck.Status") == "healthy"


def test_96_a_limited_log(podman: Engine) -> None:
    name = podman.start("--log-opt", "max-size=2kb", IMAGE, "seq", "1000")
    assert podman.ok("wait", name) == "0"
    assert podman.log_file(name).stat().st_size <= 2048
    assert podman.ok("logs", name).endswith("\n1000")


def test_96_a_time_limit(podman: Engine) -> None:
    done = podman.run("--rm", "--timeout", "1", IMAGE, "sleep", "1000")
    assert done.returncode == 255


def test_96_descriptors_of_the_caller(podman: Engine) -> None:
    out = podman.folder / "through"
    words = podman.argv("run", "--rm", "--preserve-fds", "1", *podman.run_words(IMAGE, "sh", "-c", "echo through >&3"))
    shell = ["/bin/sh", "-c", f'exec "$@" 3>{out}', "sh", *words]
    done = subprocess.run(shell, env=podman.environment, capture_output=True, timeout=COMMAND_TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == b"through\n"
    out.unlink()


def test_96_sockets_of_an_activated_service(podman: Engine) -> None:
    """The caller's descriptor 3 is the container's, which is told so with its own process id."""
    ours, theirs = socket.socketpair()
    script = "echo $LISTEN_FDS $LISTEN_PID; busybox cat <&3"
    words = podman.argv("run", "--rm", *podman.run_words(IMAGE, "sh", "-c", script))
    shell = ["/bin/sh", "-c", 'exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"', "sh", *words]
    with ours, theirs:
        ours.sendall(b"through the socket\n")
        ours.shutdown(socket.SHUT_WR)
        stdin = theirs.fileno()
        done = subprocess.run(shell, env=podman.environment, stdin=stdin, capture_output=True, timeout=COMMAND_TIMEOUT_S, check=False)
    assert (done.returncode, done.stdout) == (0, b"1 1\nthrough the socket\n"), done.stderr


def test_96_a_container_without_cgroups_of_its_own(podman: Engine) -> None:
    """It stays in the cgroups of its monitor, which are podman's. Of runc podman knows that it cannot do so."""
    words = ("run", "-d", "--network", "none", "--cgroups", "disabled", IMAGE, "sleep", "1000")
    if podman.tools.runtime.name != "crun":
        assert b"not compatible with NoCgroups" in podman.call(*words).stderr
        return
    name = podman.ok(*words)
    monitor, container = (int(podman.inspect(name, f".State.{pid}")) for pid in ("ConmonPid", "Pid"))
    assert pathlib.Path(f"/proc/{container}/cgroup").read_text() == pathlib.Path(f"/proc/{monitor}/cgroup").read_text()
    podman.ok("kill", name)
    assert podman.ok("wait", name) == "137"


def test_96_log_drivers_none_and_passthrough(podman: Engine) -> None:
    done = podman.run("--rm", "--log-driver", "none", IMAGE, "echo", "unlogged")
    assert done.stdout == b"unlogged\n"
    done = podman.run("--rm", "--log-driver", "passthrough", IMAGE, "echo", "direct")
    assert done.stdout == b"direct\n"


def test_96_a_published_port_is_free_at_the_exit(podman: Engine) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    name = podman.ok("run", "-d", "--network", "host", "--cgroup-parent", podman.parent, IMAGE, "sleep", "1000")
    podman.ok("kill", name)
    podman.ok("wait", name)
    with socket.socket() as again:
        again.bind(("127.0.0.1", port))


def test_96_sd_notify_from_the_container(podman: Engine) -> None:
    host = podman.folder / "n.sock"
    send = "echo; test -S $NOTIFY_SOCKET && sleep 1000"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(host))
        manager.settimeout(COMMAND_TIMEOUT_S)
        podman.environment["NOTIFY_SOCKET"] = str(host)
        process = podman.popen("run", "-d", "--name", "note", "--sdnotify", "container", *podman.run_words(IMAGE, "sh", "-c", send))
        try:
            folder = eventually(lambda: _notify_folder(podman, "note"), COMMAND_TIMEOUT_S, "the container")
            assert folder is not None
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
                folder_fd = os.open(folder, os.O_PATH)
                service.connect(f"/proc/self/fd/{folder_fd}/notify.sock")
                os.close(folder_fd)
                service.send(b"READY=1")
            seen = b""
            while b"READY=1" not in seen:
                seen += manager.recv(4096)
            assert process.wait(COMMAND_TIMEOUT_S) == 0
        finally:
            del podman.environment["NOTIFY_SOCKET"]
            process.kill()
            process.wait()
    host.unlink()


def _notify_folder(podman: Engine, name: str) -> pathlib.Path | None:
    """Where a container's notify socket is, once it is there."""
    done = podman.call("inspect", "--type", "container", "--format", "{{.OCIConfigPath}}", name)
    folder = pathlib.Path(done.stdout.decode().strip() or "/none").parent / "notify"
    return folder if (folder / "notify.sock").exists() else None


def test_85_restarted_containers_have_clean_signals(podman: Engine) -> None:
    script = "grep SigBlk /proc/1/status; exit 1"
    name = podman.start("--restart", "on-failure:2", IMAGE, "busybox", "sh", "-c", script.replace("grep", "busybox grep"))
    eventually(lambda: podman.inspect(name, ".RestartCount") == "2", COMMAND_TIMEOUT_S, "two restarts")
    eventually(lambda: podman.inspect(name, ".State.Status") == "exited", COMMAND_TIMEOUT_S, "the end")
    blocked = [line.split()[-1] for line in podman.ok("logs", name).splitlines()]
    assert [int(word, 16) for word in blocked] == [0, 0, 0]


def test_93_podman_notices_a_killed_monitor(podman: Engine) -> None:
    name = podman.start(IMAGE, "sleep", "1000")
    monitor = int(podman.inspect(name, ".State.ConmonPid"))
    container = int(podman.inspect(name, ".State.Pid"))
    os.kill(monitor, signal.SIGKILL)
    eventually(lambda: not is_running(monitor), COMMAND_TIMEOUT_S, "the monitor's end")
    assert is_running(container)
    kill(container)
    eventually(lambda: not is_running(container), COMMAND_TIMEOUT_S, "the container's end")
    # Podman believes its database until something makes it look: then nothing is left to stop.
    podman.call("stop", "--time", "0", name)
    eventually(lambda: podman.inspect(name, ".State.Status") != "running", COMMAND_TIMEOUT_S, "podman's notice")


def test_94_podman_sees_an_oom_kill(podman: Engine) -> None:
    hog = "busybox head -c 64m /dev/zero | busybox tail -c 64m > /dev/null; exit 3"
    name = podman.start("--memory", "16m", IMAGE, "sh", "-c", hog)
    podman.ok("wait", name)
    assert podman.inspect(name, ".State.OOMKilled") == "true"


def test_96_twenty_containers_at_once(podman: Engine) -> None:
    def one(number: int) -> tuple[int, bytes]:
        done = podman.run("--name", f"c{number}", IMAGE, "sh", "-c", f"seq 1000; echo end {number}; exit {number}")
        return done.returncode, done.stdout[-len(f"end {number}\n") :]

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(one, range(AT_ONCE)))
    assert results == [(number, f"end {number}\n".encode()) for number in range(AT_ONCE)]


@pytest.mark.parametrize("words", [(), ("-t",)], ids=["plain", "-t"])
def test_98_many_execs_in_parallel(podman: Engine, words: tuple[str, ...]) -> None:
    name = podman.start(IMAGE, "sleep", "1000")

    def one(number: int) -> tuple[int, bytes, bytes]:
        done = podman.call("exec", *words, name, "sh", "-c", f"echo out {number}; exit 3")
        return done.returncode, done.stdout.replace(b"\r", b""), done.stderr

    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        results = list(pool.map(one, range(EXECS)))
    assert results == [(3, f"out {number}\n".encode(), b"") for number in range(EXECS)]
