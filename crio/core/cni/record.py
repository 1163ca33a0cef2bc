"""The record of an attachment: one file per pod, in the layout that libcni uses.

It is written twice: before ADD without a result (the intent), so that whatever happens afterwards the plugins can be told to
undo it, and after ADD with the result. ``crioOwner`` is ours: other runtimes of the node share the directory and pass over
members that they do not know, and we never undo an attachment that does not carry it. Source: libcni, ``cniCacheV1``.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from crio.core.cni.answer import parse_result, result_object
from crio.core.cni.call import PORT_MAPPINGS
from crio.core.cni.config import NetworkConfig
from crio.core.cni.values import IF_NAME, Attachment, CniResult
from crio.core.image.document import Fields, JsonValue, parse_object
from crio.core.image.errors import BadDocument

KIND = "cniCacheV1"
OWNER_KEY = "crioOwner"
OWNER = "crio"
RECORD_LIMIT_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Record:
    """An attachment, the configuration it was made with and, once it is there, its result."""

    attachment: Attachment
    network_name: str
    config: bytes
    result: Mapping[str, JsonValue] | None = None
    owned: bool = True

    def file_name(self) -> str:
        """The record's name in the directory of results."""
        return f"{self.network_name}-{self.attachment.sandbox_id}-{self.attachment.if_name}"

    def with_result(self, result: CniResult) -> Record:
        """The record after a successful ADD."""
        value = result_object(result)
        return replace(self, result=value if isinstance(value, dict) else {})

    def cni_result(self) -> CniResult | None:
        """The result as ADD gave it; None for an intent. :raises PluginFailed: it cannot be read"""
        if self.result is None:
            return None
        by_plugin = PORT_MAPPINGS in self.attachment.capability_args and _declares_ports(self.config)
        return parse_result(json.dumps(dict(self.result)).encode(), self.network_name, ports_by_plugin=by_plugin)


def intent(network: NetworkConfig, attachment: Attachment) -> Record:
    """The record to write before ADD."""
    return Record(attachment, network.name, network.raw)


def file_suffix(sandbox_id: str) -> str:
    """How the names of all records of a sandbox end."""
    return f"-{sandbox_id}-{IF_NAME}"


def dump_record(record: Record, owner: str = OWNER) -> bytes:
    """The record as the bytes of its file; ``owner`` tells the daemons of a node apart."""
    attachment = record.attachment
    document: dict[str, JsonValue] = {
        "kind": KIND,
        "containerId": attachment.sandbox_id,
        "config": base64.b64encode(record.config).decode(),
        "ifName": attachment.if_name,
        "networkName": record.network_name,
        "netns": attachment.netns_path,
        "cniArgs": [[key, value] for key, value in attachment.cni_args],
        "capabilityArgs": dict(attachment.capability_args),
    }
    if record.owned:
        document[OWNER_KEY] = owner
    if record.result is not None:
        document["result"] = dict(record.result)
    return json.dumps(document, separators=(",", ":")).encode()


def parse_record(raw: bytes, file_name: str, owner: str = OWNER) -> Record:
    """Reads the file of a record. :raises BadDocument: it is none; names the file and the member"""
    fields = parse_object(raw, file_name, limit_bytes=RECORD_LIMIT_BYTES)
    if fields.text("kind") != KIND:
        raise fields.wrong("kind", KIND)
    try:
        config = base64.b64decode(fields.text("config"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise fields.wrong("config", "base64") from error
    attachment = Attachment(
        sandbox_id=fields.text("containerId"),
        netns_path=fields.text("netns"),
        cni_args=_pairs(fields),
        capability_args=fields.child("capabilityArgs").values,
        if_name=fields.text("ifName"),
    )
    result = fields.child("result").values if fields.has("result") else None
    return Record(attachment, fields.text("networkName"), config, result, fields.text(OWNER_KEY) == owner)


def _pairs(fields: Fields) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for item in fields.items("cniArgs"):
        match item:
            case [str(key), str(value)]:
                found.append((key, value))
            case _:
                raise fields.wrong("cniArgs", "pairs of texts")
    return tuple(found)


def _declares_ports(config: bytes) -> bool:
    try:
        chain = parse_object(config, "config").children("plugins")
        return any(plugin.child("capabilities").flag(PORT_MAPPINGS) for plugin in chain)
    except BadDocument:
        return False
