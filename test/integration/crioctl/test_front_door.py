"""The front door under connections that come and go while the daemon starts programs.

A child between fork and exec holds copies of all descriptors. A connection that the forwarder closed in that moment stays registered
with epoll unless it is taken out first, and its next event leads to freed memory: the daemon died of this during a pull that somebody
watched.
"""

from __future__ import annotations

import threading

from crio.cli.status import ask
from test.images.catalog import BUSYBOX
from test.integration.crioctl.conftest import TESTDATA, Ctl
from test.integration.crioctl.test_crioctl import example
from test.support.daemon import Daemon

ASKERS = 4
EXECS = 40


def test_connections_end_while_children_start(daemon: Daemon, ctl: Ctl) -> None:
    ctl("image", "pull", "-q", BUSYBOX)
    pod = ctl("pod", "run", "--config", "-", text=example(daemon, "sandbox_config.json"))
    container = ctl("ctr", "create", "--pod", pod, "--config", str(TESTDATA / "container_sleep.json"))
    ctl("ctr", "start", container)
    ended = threading.Event()

    def keep_asking() -> None:
        while not ended.is_set():
            ask(daemon.socket, "/info")

    askers = [threading.Thread(target=keep_asking) for _ in range(ASKERS)]
    pid = daemon.pid
    for asker in askers:
        asker.start()
    try:
        for _ in range(EXECS):
            assert ctl("ctr", "execsync", "--id", container, "echo", "still here") == "still here"
    finally:
        ended.set()
        for asker in askers:
            asker.join()
    assert daemon.pid == pid
