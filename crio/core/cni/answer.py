"""What a plugin answers: a result, or an error.

Results exist in three shapes: ``ip4``/``ip6`` objects up to 0.2.0, a list of ``ips`` with a version each up to 0.4.0, and without
it since 1.0.0. The shape is told by the keys. Source: CNI specification, section 5 (result types).
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass

from crio.core.cni.errors import PluginFailed
from crio.core.cni.values import CniDns, CniInterface, CniResult
from crio.core.image.document import Fields, JsonValue, parse_object
from crio.core.image.errors import BadDocument

ANSWER_LIMIT_BYTES = 1 << 20
_WORDS_LIMIT = 2000
_KNOWN_CODES = {
    1: "incompatible CNI version",
    2: "unsupported field in the network configuration",
    3: "container unknown or does not exist",
    4: "invalid environment variables",
    5: "I/O failure",
    6: "failed to decode content",
    7: "invalid network configuration",
    11: "try again later",
    50: "the plugin is not available",
    51: "the plugin is not available and existing containers may have limited connectivity",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """A plugin's error in words; ``code`` is 0 when it gave none that can be read."""

    code: int
    words: str


def parse_result(raw: bytes, plugin: str, *, ports_by_plugin: bool = False) -> CniResult:
    """Reads a plugin's result.

    Addresses of interfaces on the node are left out. An answer of nothing is a result without addresses.

    :raises PluginFailed: the answer is no result; names the plugin and the key
    """
    try:
        fields = parse_object(raw.strip() or b"{}", f"result of CNI plugin {plugin!r}", limit_bytes=ANSWER_LIMIT_BYTES)
        interfaces = tuple(
            CniInterface(item.text("name"), item.text("mac"), item.text("sandbox")) for item in fields.children("interfaces")
        )
        dns = fields.child("dns")
        return CniResult(
            ips=_old_ips(fields) + _ips(fields, interfaces),
            interfaces=interfaces,
            dns=CniDns(dns.texts("nameservers"), dns.text("domain"), dns.texts("search"), dns.texts("options")),
            raw=json.dumps(dict(fields.values), separators=(",", ":")).encode(),
            ports_by_plugin=ports_by_plugin,
        )
    except BadDocument as error:
        raise PluginFailed(str(error)) from error


def _ips(fields: Fields, interfaces: tuple[CniInterface, ...]) -> tuple[str, ...]:
    found: list[str] = []
    for item in fields.children("ips"):
        index = item.whole("interface", -1)
        on_node = 0 <= index < len(interfaces) and not interfaces[index].sandbox_path
        if not on_node:
            found.append(_address(item, "address"))
    return tuple(found)


def _old_ips(fields: Fields) -> tuple[str, ...]:
    return tuple(_address(fields.child(key), "ip") for key in ("ip4", "ip6") if fields.has(key))


def _address(fields: Fields, key: str) -> str:
    text = fields.text(key)
    try:
        return str(ipaddress.ip_interface(text).ip)
    except ValueError as error:
        raise fields.wrong(key, "an address with a prefix length") from error


def parse_failure(stdout: bytes, stderr: bytes, returncode: int) -> Failure:
    """Reads the error of a plugin that ended with another exit code than 0; never raises.

    A plugin that crashed has no error object: then its last words are taken from standard error.
    """
    try:
        fields = parse_object(stdout.strip(), "error", limit_bytes=ANSWER_LIMIT_BYTES)
        code, message, details = fields.whole("code"), fields.text("msg"), fields.text("details")
    except BadDocument:
        code, message, details = 0, "", ""
    if not message and not details:
        message = _KNOWN_CODES.get(code, "") or _last_words(stderr) or _last_words(stdout)
    words = "; ".join(text for text in (message, details) if text)[:_WORDS_LIMIT]
    ending = f"killed by signal {-returncode}" if returncode < 0 else f"exit code {returncode}"
    suffix = f"code {code}" if code else ending
    return Failure(code, f"{words} ({suffix})" if words else f"no error message ({suffix})")


def _last_words(stream: bytes) -> str:
    return stream.strip()[-_WORDS_LIMIT:].decode(errors="replace")


def result_object(result: CniResult) -> JsonValue:
    """The result as the next plugin and the record get it."""
    value: JsonValue = json.loads(result.raw)
    return value
