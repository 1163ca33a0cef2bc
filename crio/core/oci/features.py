"""What an OCI runtime binary understands, from ``features`` where it has that, else from its name and version."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from crio.core.oci.document import JsonValue

OLDEST_SPEC = "1.0.2-dev"
NEWEST_SPEC = "1.2.0"
_VERSION = re.compile(r"^(\S+) version (\S+)", re.MULTILINE)
_SPEC = re.compile(r"^spec: *(\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class RuntimeFeatures:
    """What may be written for a runtime.

    ``oci_version`` is the ``ociVersion`` to write. ``hybrid_cgroups`` says that it works where v1 and v2 are both mounted.
    """

    name: str = "runc"
    version: str = ""
    oci_version: str = OLDEST_SPEC
    idmapped_mounts: bool = False
    recursive_readonly: bool = False
    hybrid_cgroups: bool = True
    exec_affinity: bool = False


def parse_version(output: str) -> tuple[str, str, str]:
    """Name, version and spec version from what ``RUNTIME --version`` prints; empty texts for what is not there."""
    found = _VERSION.search(output)
    spec = _SPEC.search(output)
    name, version = (found.group(1), found.group(2)) if found else ("", "")
    return name, version.split("+")[0], spec.group(1) if spec else ""


def version_numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: ``1.1.5-rc.1`` is (1, 1, 5)."""
    numbers = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in numbers.group().split(".")) if numbers else ()


def understand(version_output: str, features: Mapping[str, JsonValue] | None) -> RuntimeFeatures:
    """The features of a runtime from its two answers; ``features`` None means that it has no such command."""
    name, version, _ = parse_version(version_output)
    if features is None:
        return RuntimeFeatures(name=name, version=version, hybrid_cgroups=name != "crun")
    options = features.get("mountOptions")
    newest = features.get("ociVersionMax")
    return RuntimeFeatures(
        name=name,
        version=version,
        oci_version=_oci_version(newest if isinstance(newest, str) else ""),
        idmapped_mounts=_at(features, "linux", "mountExtensions", "idmap", "enabled") is True,
        recursive_readonly=isinstance(options, list | tuple) and "rro" in options,
        hybrid_cgroups=name != "crun",
        exec_affinity=version_numbers(newest if isinstance(newest, str) else "") >= (1, 2, 1),
    )


def _oci_version(newest: str) -> str:
    return NEWEST_SPEC if version_numbers(newest) >= version_numbers(NEWEST_SPEC) else OLDEST_SPEC


def _at(members: Mapping[str, JsonValue], *path: str) -> JsonValue:
    value: JsonValue = members
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value
