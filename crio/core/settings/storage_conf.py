"""What ``storage.conf`` says that the daemon inherits: the places of the store, its driver, and the driver's options.

Source: containers-storage.conf(5) as collected in storage-and-images B.1 and B.2.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from crio.core.settings.convert import describe
from crio.core.settings.decode import Assignment
from crio.core.settings.findings import Finding, Severity
from crio.core.settings.schema import Path

_NO_OPTIONS: Final[Mapping[str, str]] = MappingProxyType({})
# Keys that a driver takes as options, from its own table or, for some, from [storage.options] for every driver.
_GENERIC_KEYS: Final = ("size", "ignore_chown_errors", "force_mask", "mount_program", "mountopt", "skip_mount_home")
_DRIVER_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "overlay": (*_GENERIC_KEYS, "inodes", "use_composefs", "sync"),
    "vfs": ("ignore_chown_errors", "sync"),
    "btrfs": ("min_space", "size"),
    "zfs": ("fsname", "mountopt", "size"),
}
# Stores that others may read: the key in the file, and the option that the driver knows it by.
_STORE_LISTS: Final = (("additionalimagestores", "imagestore"), ("additionallayerstores", "additionallayerstore"))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StorageConf:
    """The effective ``storage.conf``; empty where it is silent."""

    graphroot: str = ""
    runroot: str = ""
    imagestore: str = ""
    driver: str = ""
    driver_options: tuple[str, ...] = ()
    pull_options: Mapping[str, str] = dataclasses.field(default_factory=lambda: _NO_OPTIONS)
    transient_store: bool = False

    def assignments(self) -> list[Assignment]:
        """The same as settings of ``[crio]``."""
        values = {
            "root": self.graphroot,
            "runroot": self.runroot,
            "imagestore": self.imagestore,
            "storage_driver": self.driver,
            "storage_option": self.driver_options,
        }
        return [Assignment(("crio", key), value) for key, value in values.items() if value]


def merge_documents(documents: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """Drop-ins over the main file: tables are merged, other values replaced; a list that contains the table
    ``{append = true}`` is added to the one below.
    """
    merged: dict[str, object] = {}
    for document in documents:
        merged = _merge(merged, document)
    return merged


def read_storage_conf(document: Mapping[str, object], environ: Mapping[str, str]) -> tuple[StorageConf, tuple[Finding, ...]]:
    """The settings of a merged document; STORAGE_DRIVER and STORAGE_OPTS win over it, variables in paths are replaced."""
    findings: list[Finding] = []
    storage = _table(document, ("storage",), findings)
    options = _table(storage, ("storage", "options"), findings)
    driver = environ.get("STORAGE_DRIVER") or _text(storage, ("storage", "driver"), findings)
    driver = "overlay" if driver == "overlay2" else driver
    if driver_priority := storage.get("driver_priority"):
        first = driver_priority[0] if isinstance(driver_priority, list) else ""
        driver = driver or str(first)
    driver_options = tuple(_driver_options(options, driver or "overlay", findings))
    if environ.get("STORAGE_OPTS"):
        driver_options = tuple(one.strip() for one in environ["STORAGE_OPTS"].split(",") if one.strip())
    pull_options = _table(options, ("storage", "options", "pull_options"), findings)
    conf = StorageConf(
        graphroot=_expand(_text(storage, ("storage", "graphroot"), findings), environ),
        runroot=_expand(_text(storage, ("storage", "runroot"), findings), environ),
        imagestore=_expand(_text(storage, ("storage", "imagestore"), findings), environ),
        driver=driver,
        driver_options=driver_options,
        pull_options=MappingProxyType({key: describe(value) for key, value in pull_options.items()}),
        transient_store=_truth(storage, ("storage", "transient_store"), findings),
    )
    return conf, tuple(findings)


def _merge(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    merged = dict(below)
    for key, value in above.items():
        earlier = merged.get(key)
        if isinstance(value, dict) and isinstance(earlier, dict):
            merged[key] = _merge(earlier, value)
        elif isinstance(value, list) and {"append": True} in value:
            entries = [one for one in value if not isinstance(one, dict)]
            merged[key] = [*(earlier if isinstance(earlier, list) else []), *entries]
        else:
            merged[key] = value
    return merged


def _driver_options(options: Mapping[str, object], driver: str, findings: list[Finding]) -> list[str]:
    path = ("storage", "options", driver)
    own = _table(options, path, findings)
    found: list[str] = []
    for key, option in _STORE_LISTS:
        stores = options.get(key, [])
        if isinstance(stores, list):
            found += [f"{driver}.{option}={store}" for store in stores]
        else:
            findings.append(_refused(("storage", "options", key), stores, "a list of strings"))
    for key in _DRIVER_KEYS.get(driver, ()):
        value = own.get(key, options.get(key) if key in _GENERIC_KEYS else None)
        if value not in (None, ""):
            found.append(f"{driver}.{key}={describe(value)}")
    return found


def _table(parent: Mapping[str, object], path: Path, findings: list[Finding]) -> Mapping[str, object]:
    value = parent.get(path[-1], {})
    if isinstance(value, dict):
        return value
    findings.append(_refused(path, value, f"the table [{'.'.join(path)}]"))
    return {}


def _text(parent: Mapping[str, object], path: Path, findings: list[Finding]) -> str:
    value = parent.get(path[-1], "")
    if isinstance(value, str):
        return value
    findings.append(_refused(path, value, "a string in quotes"))
    return ""


def _truth(parent: Mapping[str, object], path: Path, findings: list[Finding]) -> bool:
    value = parent.get(path[-1], False)
    if isinstance(value, bool):
        return value
    findings.append(_refused(path, value, "true or false"))
    return False


def _expand(text: str, environ: Mapping[str, str]) -> str:
    """Replace ``$NAME`` and ``${NAME}``; a path without a dollar sign, the usual case, is left alone."""
    if "$" not in text:
        return text
    import string

    return string.Template(text).safe_substitute(environ)


def _refused(path: Path, value: object, expected: str) -> Finding:
    return Finding(severity=Severity.ERROR, path=path, problem="bad value", value=describe(value), expected=expected)
