"""``crio status`` and ``crio-status``: the client of the HTTP status API."""

from __future__ import annotations

import datetime
import http.client
import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from crio.cli.flags import CommandLine, parse_command_line
from crio.cli.help import help_text
from crio.core.errors import CriError, InvalidArgument, Unavailable

DIAL_TIMEOUT_S = 32.0
SOCKET_PATH_MAX = 107


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("crio", timeout=DIAL_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        """Connect to the daemon's socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(socket_path: str, path: str) -> bytes:
    """The body that the daemon answers; raises Unavailable, InvalidArgument."""
    if len(os.fsencode(socket_path)) > SOCKET_PATH_MAX:
        raise InvalidArgument(f"socket {socket_path!r} is longer than {SOCKET_PATH_MAX} bytes, the most that a socket's path may have")
    connection = _UnixConnection(socket_path)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    except OSError as error:
        raise Unavailable(f"no daemon answers on {socket_path}: {error.strerror or error}") from error
    finally:
        connection.close()


def _document(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Unavailable(body.decode(errors="replace").strip()) from None


def _maps(maps: Sequence[Mapping[str, int]]) -> str:
    return ", ".join(f"{item['container_id']}:{item['host_id']}:{item['size']}" for item in maps)


def info_text(document: Mapping[str, Any]) -> str:
    """The lines of ``status info``."""
    mappings = document["default_id_mappings"]
    return "\n".join(
        [
            f"cgroup driver: {document['cgroup_driver']}",
            f"storage driver: {document['storage_driver']}",
            f"storage graph root: {document['storage_root']}",
            f"storage image: {document['storage_image']}",
            f"default GID mappings (format <container>:<host>:<size>): {_maps(mappings['gids'])}",
            f"default UID mappings (format <container>:<host>:<size>): {_maps(mappings['uids'])}",
        ]
    )


def container_text(document: Mapping[str, Any]) -> str:
    """The lines of ``status containers``."""
    created = datetime.datetime.fromtimestamp(document["created_time"] / 1e9, datetime.UTC)
    lines = [f"name: {document['name']}", f"pid: {document['pid']}", f"image: {document['image']}"]
    lines += [f"image ref: {document['image_ref']}", f"created: {created.isoformat()}"]
    for title, member in (("labels", "labels"), ("annotations", "annotations"), ("CRI-O annotations", "crio_annotations")):
        lines.append(f"{title}:")
        lines += [f"  {key}: {value}" for key, value in sorted(document[member].items())]
    lines += [f"log path: {document['log_path']}", f"graph root: {document['root']}", f"sandbox: {document['sandbox']}"]
    lines.append(f"ips: {', '.join(document['ip_addresses'])}")
    return "\n".join(lines)


def run_status(line: CommandLine) -> int:
    """Carry out one ``status`` command; the result is the exit code."""
    path = str(line.options.get("socket") or "/var/run/crio/crio.sock")
    verb = line.command.partition(" ")[2]
    if verb == "info":
        print(info_text(_document(ask(path, "/info"))))
    elif verb == "config":
        sys.stdout.write(ask(path, "/config").decode())
    elif verb == "containers":
        wanted = str(line.options.get("id") or "")
        if not wanted:
            raise InvalidArgument("--id is missing: expected the id of a container")
        print(container_text(_document(ask(path, f"/containers/{wanted}"))))
    elif verb == "goroutines":
        sys.stdout.write(ask(path, "/debug/goroutines").decode())
    elif verb == "heap":
        _write_heap(ask(path, "/debug/heap"), str(line.options.get("file") or ""))
    else:
        raise InvalidArgument(f"status command {verb!r} is unknown: expected config, containers, info, goroutines or heap")
    return 0


def _write_heap(body: bytes, target: str) -> None:
    if target == "-":
        sys.stdout.buffer.write(body)
        return
    target = target or time.strftime("crio-heap-%Y%m%d%H%M%S.out")
    with open(target, "wb") as file:
        file.write(body)
    print(target)


def main(argv: Sequence[str] | None = None) -> int:
    """``crio-status ARGS`` is ``crio status ARGS``."""
    try:
        given = sys.argv[1:] if argv is None else list(argv)
        line = parse_command_line(["status", *given], os.environ)
        if line.command == "help":
            print(help_text(line.arguments))
            return 0
        return run_status(line)
    except CriError as error:
        print(f"crio-status: {error.message}", file=sys.stderr)
        return 1
