"""The daemon's socket: one path, two protocols, one daemon.

The public socket is accepted by the forwarder thread (C, without the interpreter lock), which hands each connection to the gRPC or the
HTTP server by its first bytes. Both of those listen on private sockets in a 0700 directory beside the public one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import socket
import stat
import tempfile
import threading

from crio.core.errors import AlreadyExists, Internal, InvalidArgument
from crio.host import syscalls

SOCKET_PATH_MAX = 107
_BACKLOG = 1024
_LOCK = "lock"


def hold_lock(path: str, what: str) -> int:
    """An exclusive lock on a file for the life of this process, so that two daemons never share ``what``; raises AlreadyExists."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise AlreadyExists(f"another daemon uses {what}: stop it first, or give this one its own") from error
    return fd


class FrontDoor:
    """The public socket and the private ones behind it."""

    def __init__(self, path: str) -> None:
        if len(os.fsencode(path)) > SOCKET_PATH_MAX:
            raise InvalidArgument(f"listen {path!r} is longer than {SOCKET_PATH_MAX} bytes, the most that a socket's path may have")
        self._path = path
        os.makedirs(os.path.dirname(path) or ".", mode=0o755, exist_ok=True)
        remove_stale_socket(path, "listen")
        self._inner = _inner_directory(path)
        self._inner_lock_fd = hold_lock(os.path.join(self._inner, _LOCK), f"the socket {path}")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self.grpc_path = os.path.join(self._inner, "grpc.sock")
        self.http_path = os.path.join(self._inner, "http.sock")
        self.http = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        self.http.bind(self.http_path)
        self.http.listen(_BACKLOG)
        self._stop_read, self._stop_write = os.pipe2(os.O_CLOEXEC)
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Let clients in: everything behind the door is ready."""
        try:
            self._listener.bind(self._path)
        except OSError as error:
            raise Internal(f"cannot listen on {self._path}: {error.strerror}") from error
        os.chmod(self._path, 0o660)
        self._listener.listen(_BACKLOG)
        self._listener.setblocking(False)
        self._thread = threading.Thread(target=self._forward, name="forwarder", daemon=True)
        self._thread.start()

    def _forward(self) -> None:
        syscalls.forward_connections(self._listener.fileno(), self._stop_read, self.grpc_path, self.http_path)

    def close(self) -> None:
        """Take the sockets away."""
        os.write(self._stop_write, b"x")
        if self._thread is not None:
            self._thread.join()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
        for item in (self._listener, self.http):
            item.close()
        for fd in (self._stop_read, self._stop_write, self._inner_lock_fd):
            os.close(fd)
        shutil.rmtree(self._inner, ignore_errors=True)


def _inner_directory(path: str) -> str:
    """A private directory beside the socket, or in the temporary directory where the path would be too long.

    Raises AlreadyExists when a daemon that is still starting has it: nobody answers on its public socket yet.
    """
    inner = f"{path}.d"
    if len(os.fsencode(inner)) + len("/grpc.sock") > SOCKET_PATH_MAX:
        return tempfile.mkdtemp(prefix="crio-")
    with contextlib.suppress(FileNotFoundError):
        os.close(hold_lock(os.path.join(inner, _LOCK), f"the socket {path}"))
    shutil.rmtree(inner, ignore_errors=True)
    os.mkdir(inner, 0o700)
    return inner


def remove_stale_socket(path: str, key: str) -> None:
    """Remove the socket of a daemon that is gone; raises AlreadyExists when somebody answers on it.

    :param key: the setting that names the path
    """
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        probe.connect(path)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return
        if error.errno == errno.ECONNREFUSED and stat.S_ISSOCK(os.lstat(path).st_mode):
            os.unlink(path)
            return
        raise InvalidArgument(f"{key} {path!r} cannot be used: {error.strerror}") from error
    finally:
        probe.close()
    raise AlreadyExists(f"another daemon answers on {path}: stop it first, or give this one its own socket ({key})")


def notify_systemd(text: str) -> None:
    """Tell the service manager, when there is one. Source: sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    target = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender, contextlib.suppress(OSError):
        sender.sendto(text.encode(), target)
