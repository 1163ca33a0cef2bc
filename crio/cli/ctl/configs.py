"""JSON files of pods and containers to messages of the CRI.

Members have the CRI's names, in snake_case or camelCase; enums are names or numbers. Unlike the protobuf mapping, which wants base64
there, the value of an environment variable is plain text: people write these files.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TypeVar

import orjson
from google.protobuf import json_format
from google.protobuf.message import Message

from crio.cli.ctl.errors import BadInput
from crio.cri import api_pb2 as pb

Config = TypeVar("Config", bound=Message)
_LIMIT_BYTES = 4 << 20


def read_document(path: str, option: str) -> dict[str, object]:
    """The JSON object of a file, ``-`` for standard input; raises BadInput."""
    try:
        data = sys.stdin.buffer.read(_LIMIT_BYTES + 1) if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise BadInput(f"{option} {path}: {error.strerror or error}") from error
    if len(data) > _LIMIT_BYTES:
        raise BadInput(f"{option} {path}: larger than {_LIMIT_BYTES} bytes")
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"{option} {path}: line {error.lineno}, column {error.colno}: no JSON: {error.msg}") from error
    if not isinstance(document, dict):
        raise BadInput(f"{option} {path}: expected a JSON object, got {type(document).__name__}")
    return document


def fill(document: dict[str, object], message: Config, where: str) -> Config:
    """The message with the members of the document; raises BadInput naming the member that does not fit."""
    try:
        return json_format.ParseDict(document, message)
    except json_format.ParseError as error:
        raise BadInput(f"{where}: {' '.join(str(error).split())}") from error


def sandbox_config(path: str) -> pb.PodSandboxConfig:
    """The pod of a file; raises BadInput."""
    return fill(read_document(path, "--config"), pb.PodSandboxConfig(), f"--config {path}")


def container_config(path: str) -> pb.ContainerConfig:
    """The container of a file; raises BadInput."""
    document = read_document(path, "--config")
    return parse_container(document, f"--config {path}")


def parse_container(document: dict[str, object], where: str) -> pb.ContainerConfig:
    """The container of a document; ``envs`` is read here because its values are text."""
    envs = document.pop("envs", [])
    config = fill(document, pb.ContainerConfig(), where)
    if not isinstance(envs, list):
        raise BadInput(f"{where}: envs: expected a list of objects with key and value")
    for number, item in enumerate(envs):
        key, value = (item.get("key"), item.get("value", "")) if isinstance(item, dict) else (None, None)
        if not isinstance(key, str) or not isinstance(value, str):
            raise BadInput(f"{where}: envs[{number}]: expected an object with the texts key and value, got {item!r}")
        config.envs.add(key=key, value=value.encode())
    return config
