"""Network configurations: what a file in the configuration directory says, checked.

A ``.conflist`` names a network and a chain of plugins. A ``.conf`` or ``.json`` file is one plugin with the network's name in
it and is read as a chain of one. The plugins' own keys are kept as they are. Source: CNI specification, section 1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from crio.core.cni.errors import BadNetworkConfig
from crio.core.image.document import Fields, JsonValue, parse_object
from crio.core.image.errors import BadDocument

CONFIG_LIMIT_BYTES = 1 << 20
SUFFIXES = (".conf", ".conflist", ".json")
LOOPBACK = "loopback"
# A record's file name holds network, sandbox id (64), interface and a temporary suffix, and stays below 255 bytes.
_NAME_LIMIT = 160
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", re.ASCII)

Version = tuple[int, int, int]
_SUPPORTED = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
VERSION_PREV_RESULT_ON_DEL: Version = (0, 4, 0)
VERSION_STATUS_AND_GC: Version = (1, 1, 0)


@dataclass(frozen=True, slots=True)
class PluginConfig:
    """One plugin of a chain: its program, the capabilities it declares, and its object as it stood."""

    type: str
    capabilities: frozenset[str]
    values: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """A network: a named chain of plugins that all speak ``cni_version``. ``raw`` is the chain as JSON."""

    name: str
    cni_version: str
    plugins: tuple[PluginConfig, ...]
    raw: bytes
    disable_gc: bool = False
    source: str = ""

    def version(self) -> Version:
        """The version as numbers, to compare."""
        return _parts(self.cni_version)

    def has_capability(self, name: str) -> bool:
        """Whether a plugin of the chain declares the capability."""
        return any(name in plugin.capabilities for plugin in self.plugins)

    def is_only_loopback(self) -> bool:
        """Whether the chain does nothing but bring ``lo`` up, which the daemon does itself."""
        return all(plugin.type == LOOPBACK for plugin in self.plugins)


def parse_network(raw: bytes, file_name: str) -> NetworkConfig:
    """Reads a file of the configuration directory; its suffix says which kind it is.

    :raises BadNetworkConfig: names the file, the key and what was expected
    """
    try:
        fields = parse_object(raw, file_name, limit_bytes=CONFIG_LIMIT_BYTES)
        if file_name.endswith(".conflist"):
            return _parse_list(fields, raw, file_name)
        return _parse_single(fields, file_name)
    except BadDocument as error:
        raise BadNetworkConfig(str(error)) from error


def parse_list(raw: bytes, source: str) -> NetworkConfig:
    """Reads a chain from anywhere, for instance from a record. :raises BadNetworkConfig: see ``parse_network``"""
    try:
        return _parse_list(parse_object(raw, source, limit_bytes=CONFIG_LIMIT_BYTES), raw, source)
    except BadDocument as error:
        raise BadNetworkConfig(str(error)) from error


def _parse_list(fields: Fields, raw: bytes, source: str) -> NetworkConfig:
    if not fields.has("plugins"):
        hint = "; one plugin alone belongs in a file named .conf" if fields.has("type") else ""
        raise BadNetworkConfig(f"{source}.plugins: expected a list of plugins, got nothing{hint}")
    plugins = tuple(_parse_plugin(item) for item in fields.children("plugins"))
    if not plugins:
        raise BadNetworkConfig(f"{source}.plugins: expected at least one plugin, got an empty list")
    return NetworkConfig(
        name=_name(fields),
        cni_version=_version(fields),
        plugins=plugins,
        raw=raw,
        disable_gc=fields.flag("disableGC"),
        source=source,
    )


def _parse_single(fields: Fields, source: str) -> NetworkConfig:
    if fields.has("plugins"):
        raise BadNetworkConfig(f"{source}.plugins: a list of plugins belongs in a file named .conflist")
    plugin = _parse_plugin(fields)
    name, version = _name(fields), _version(fields)
    document = {"name": name, "cniVersion": version, "plugins": [dict(plugin.values)]}
    return NetworkConfig(name, version, (plugin,), json.dumps(document).encode(), source=source)


def _parse_plugin(fields: Fields) -> PluginConfig:
    kind = fields.text("type")
    if not kind:
        raise BadNetworkConfig(f"{fields.path}.type: expected the name of a plugin, got nothing")
    if "/" in kind or "\0" in kind or kind in (".", ".."):
        # A path would let a file of this directory run any program of the node (CVE-2021-20206).
        raise BadNetworkConfig(f"{fields.path}.type: expected a file name without a directory, got {kind!r}")
    capabilities = fields.child("capabilities")
    on = frozenset(name for name in capabilities.values if capabilities.flag(name))
    return PluginConfig(kind, on, fields.values)


def _name(fields: Fields) -> str:
    name = fields.text("name")
    if len(name) > _NAME_LIMIT or _NAME.fullmatch(name) is None:
        rule = f"1 to {_NAME_LIMIT} letters, digits, '_', '.' and '-' that begin with a letter or digit"
        raise BadNetworkConfig(f"{fields.path}.name: expected {rule}, got {name!r}")
    return name


def _version(fields: Fields) -> str:
    offered = [text for text in (fields.text("cniVersion"), *fields.texts("cniVersions")) if text]
    if not offered:
        return _SUPPORTED[0]
    known = [text for text in offered if text in _SUPPORTED]
    if not known:
        raise BadNetworkConfig(f"{fields.path}.cniVersion: expected one of {', '.join(_SUPPORTED)}, got {offered[0]!r}")
    return max(known, key=_parts)


def _parts(text: str) -> Version:
    major, minor, patch = text.split(".")
    return (int(major), int(minor), int(patch))
