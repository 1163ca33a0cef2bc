"""Annotations: which of a client's may act, and those that a specification records.

A known annotation changes what the runtime or the daemon does, so a handler or workload has to allow it by its exact name; what
is not allowed is taken away before anything looks at it. Unknown ones are data and always pass. Annotations that a runtime binary
itself would obey are not copied into the document unless they were allowed, and nothing can take the place of our own records.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping

from crio.core.config import Metadata
from crio.core.oci.document import JsonValue

PREFIX = "io.kubernetes.cri-o."
MANAGER = "cri-o"
STOP_SIGNAL = "org.opencontainers.image.stopSignal"
GRACE_PERIOD = "io.kubernetes.pod.terminationGracePeriod"

# (name, older name or empty). Written by the daemon itself: the last group.
_PAIRS = (
    ("cgroup2-mount-hierarchy-rw.crio.io", PREFIX + "cgroup2-mount-hierarchy-rw"),
    ("devices.crio.io", PREFIX + "Devices"),
    ("disable-fips.crio.io", PREFIX + "DisableFIPS"),
    ("link-logs.crio.io", PREFIX + "LinkLogs"),
    ("seccomp-notifier-action.crio.io", PREFIX + "seccompNotifierAction"),
    ("seccomp-profile.crio.io", "seccomp-profile.kubernetes.cri-o.io"),
    ("shm-size.crio.io", PREFIX + "ShmSize"),
    ("try-skip-volume-selinux-label.crio.io", PREFIX + "TrySkipVolumeSELinuxLabel"),
    ("umask.crio.io", PREFIX + "umask"),
    ("unified-cgroup.crio.io", PREFIX + "UnifiedCgroup"),
    ("userns-mode.crio.io", PREFIX + "userns-mode"),
    ("platform-runtime-path.crio.io", PREFIX + "PlatformRuntimePath"),
    ("pod-linux-overhead.crio.io", PREFIX + "PodLinuxOverhead"),
    ("pod-linux-resources.crio.io", PREFIX + "PodLinuxResources"),
    ("spoofed.crio.io", PREFIX + "Spoofed"),
)
_OLDER = dict(_PAIRS)
_SINGLE = (
    "cpu-load-balancing.crio.io",
    "cpu-quota.crio.io",
    "irq-load-balancing.crio.io",
    "cpu-c-states.crio.io",
    "cpu-freq-governor.crio.io",
    "cpu-shared.crio.io",
    "io.containers.trace-syscall",
    "io.kubernetes.cri.rdt-class",
    STOP_SIGNAL,
)
_RUNTIME_HINTS = (
    "bundle",
    "org.systemd.property.",
    "org.criu.config",
    "module.wasm.image/variant",
    "io.kubernetes.cri.container-type",
    "run.oci.",
)
KNOWN = frozenset(name for pair in _PAIRS for name in pair) | frozenset(_SINGLE) | frozenset(_RUNTIME_HINTS)
_PREFIXES = tuple(KNOWN - {"bundle"})


def filter_annotations(annotations: Mapping[str, str], allowed: Iterable[str]) -> dict[str, str]:
    """The annotations without known ones that are not allowed.

    ``allowed`` are exact names of ``KNOWN``; a name also covers ``NAME/CONTAINER`` and ``NAME.CONTAINER``, and one that ends with
    a dot covers what begins with it. A key that only begins like a known one is taken away with it.
    """
    names = tuple(name for name in allowed if name in KNOWN)
    return {key: value for key, value in annotations.items() if not _is_known(key) or _is_allowed(key, names)}


def _is_known(key: str) -> bool:
    return key in KNOWN or key.startswith(_PREFIXES)


def _is_allowed(key: str, allowed: tuple[str, ...]) -> bool:
    return any(_covers(name, key) for name in allowed)


def _covers(name: str, key: str) -> bool:
    return key == name or key.startswith((name + "/", name + ".")) or (name.endswith(".") and key.startswith(name))


def lookup(annotations: Mapping[str, str], name: str, container: str = "") -> str:
    """The value of a known annotation: that of the container first (``NAME/CONTAINER``), the newer name before the older."""
    names = [name, _OLDER[name]] if name in _OLDER else [name]
    if container:
        for candidate in names:
            for key in (f"{candidate}/{container}", f"{candidate}.{container}"):
                if key in annotations:
                    return annotations[key]
    return next((annotations[candidate] for candidate in names if candidate in annotations), "")


def flat_annotations(*layers: Mapping[str, str]) -> dict[str, str]:
    """Client annotations and labels for the document: later layers win, and none may look like one of our records."""
    merged: dict[str, str] = {}
    for layer in layers:
        merged.update(layer)
    return {key: value for key, value in merged.items() if not key.startswith(PREFIX) and key != "io.container.manager"}


def record(members: Mapping[str, str]) -> dict[str, str]:
    """Our own annotations from names without the prefix; empty values are left out."""
    return {PREFIX + name: value for name, value in members.items() if value}


def to_json(value: JsonValue) -> str:
    """Compact JSON with sorted keys, as annotations hold it."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, default=dict)


def metadata_json(metadata: Metadata) -> str:
    """The identity a client gave, as JSON; a container's has no namespace and uid."""
    members: dict[str, JsonValue] = {"name": metadata.name, "attempt": metadata.attempt}
    if metadata.uid or metadata.namespace:
        members |= {"uid": metadata.uid, "namespace": metadata.namespace}
    return to_json(members)


def timestamp(time_ns: int) -> str:
    """RFC 3339 with nanoseconds in UTC."""
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"
