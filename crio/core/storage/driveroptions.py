"""Options of the storage driver: ``overlay.mountopt=nodev`` and the like, read once into values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from crio.core.errors import InvalidArgument

_SIZE = re.compile(r"(\d+)\s*([kmgtp]?)(i?b)?", re.IGNORECASE)
_POWER = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_BOOLS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}


@dataclass(frozen=True, slots=True)
class DriverOptions:
    """What the options say. ``size_bytes`` and ``inodes`` are limits of a container's writable layer, 0 for none."""

    mount_options: tuple[str, ...] = ()
    size_bytes: int = 0
    inodes: int = 0
    skip_mount_home: bool = False
    disable_volatile: bool = False
    sync_layers: bool = False
    image_stores: tuple[str, ...] = ()


def size_bytes(text: str, field: str) -> int:
    """Return bytes for ``10G``, ``512MiB`` or ``4096`` (powers of 1024). Raises InvalidArgument naming ``field``."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InvalidArgument(f"{field} is {text!r}, expected a size such as 10G, 512M or a number of bytes")
    factor: int = 1024 ** _POWER[match[2].lower()]
    return int(match[1]) * factor


def parse_driver_options(options: Sequence[str], driver: str) -> DriverOptions:
    """Return the values of ``key=value`` options; keys may be prefixed by the driver's name, which wins over the bare key.

    Raises InvalidArgument for an option that the driver does not have here, and for a value of the wrong shape.
    """
    bare: dict[str, str] = {}
    own: dict[str, str] = {}
    stores: list[str] = []
    for option in options:
        key, separator, value = option.partition("=")
        prefix, dot, name = key.strip().lower().partition(".")
        if not separator:
            raise InvalidArgument(f"storage option is {option!r}, expected key=value")
        if dot and prefix not in (driver, "storage", "overlay2" if driver == "overlay" else driver):
            continue
        name = name if dot else prefix
        if name in ("imagestore", "additionalimagestore"):
            stores.append(value)
        else:
            (own if dot else bare)[name] = value
    return _read({**bare, **own}, tuple(stores))


def _read(values: dict[str, str], stores: tuple[str, ...]) -> DriverOptions:
    unknown = sorted(values.keys() - _KNOWN - _REFUSED.keys())
    if unknown:
        raise InvalidArgument(f"storage option {unknown[0]!r} is not known, expected one of {', '.join(sorted(_KNOWN))}")
    for key, why in _REFUSED.items():
        if _BOOLS.get(values.get(key, "").lower(), True):
            raise InvalidArgument(f"storage option {key}={values[key]!r} is not possible here: {why}")
    sync = values.get("sync", "none")
    if sync not in ("none", "filesystem"):
        raise InvalidArgument(f"storage option sync is {sync!r}, expected none or filesystem")
    return DriverOptions(
        mount_options=tuple(part for part in values.get("mountopt", "").split(",") if part),
        size_bytes=size_bytes(values.get("size", "0"), "storage option size"),
        inodes=size_bytes(values.get("inodes", "0"), "storage option inodes"),
        skip_mount_home=_boolean(values, "skip_mount_home"),
        disable_volatile=_boolean(values, "disable-volatile"),
        sync_layers=sync == "filesystem",
        image_stores=stores,
    )


_KNOWN = frozenset(["mountopt", "size", "inodes", "skip_mount_home", "disable-volatile", "sync", "ignore_chown_errors"])
_REFUSED = {
    "mount_program": "this runtime mounts overlay itself; leave the option out",
    "force_mask": "it is for shared home directories of ordinary users; leave the option out",
    "use_composefs": "layers of composefs stores have no usable diff directory; leave the option out",
}


def _boolean(values: dict[str, str], key: str) -> bool:
    value = _BOOLS.get(values.get(key, "").lower())
    if value is None:
        raise InvalidArgument(f"storage option {key} is {values[key]!r}, expected true or false")
    return value
