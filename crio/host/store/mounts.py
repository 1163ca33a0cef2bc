"""How often each layer is mounted, shared with the other tools through ``mountpoints.json`` in the run root.

The counts do not survive a reboot, and after one the file may be stale: a count is believed only while the layer is mounted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import orjson

from crio.core.storage.codec import decode_mount, encode_mount, records_of
from crio.core.storage.jsonvalue import DamagedStore
from crio.core.storage.records import MountPoint
from crio.host.store.lockfile import LockFile
from crio.host.store.rewrite import Rewriter


class MountEdit:
    """The counts while their lock is held."""

    def __init__(self, mounts: dict[str, MountPoint]) -> None:
        self._mounts = mounts
        self.changed = False

    @property
    def entries(self) -> list[MountPoint]:
        """Every layer that is counted."""
        return list(self._mounts.values())

    def count(self, layer_id: str) -> int:
        """How often the layer is counted as mounted."""
        mount = self._mounts.get(layer_id)
        return mount.count if mount is not None else 0

    def put(self, layer_id: str, path: str, count: int) -> None:
        """Set the count; 0 removes the entry."""
        if count > 0:
            self._mounts[layer_id] = MountPoint(layer_id, path, count)
        elif self._mounts.pop(layer_id, None) is None:
            return
        self.changed = True


class MountCounts:
    """The file of counts below ``folder`` (``<runroot>/<driver>-layers``)."""

    def __init__(self, folder: str) -> None:
        self._path = f"{folder}/mountpoints.json"
        self._lock = LockFile(f"{folder}/mountpoints.lock")
        self._rewriter = Rewriter(self._path)
        self._known: tuple[bytes, dict[str, MountPoint]] | None = None

    @contextlib.contextmanager
    def editing(self) -> Iterator[MountEdit]:
        """Hold the lock (``layers.lock`` is held already) and give the counts; changes are written at the end."""
        with self._lock.writing() as held:
            edit = MountEdit(self._load(held.token()))
            self._known = None
            yield edit
            if edit.changed:
                data = orjson.dumps([encode_mount(mount) for mount in edit.entries])
                staged = self._rewriter.stage(data, durable=False, settle=False)
                token = held.write_token()
                staged.install()
            else:
                token = held.token()
            self._known = (token, {mount.layer: mount for mount in edit.entries}) if token else None

    def entries(self) -> tuple[MountPoint, ...]:
        """Return the counts as they are now."""
        with self._lock.reading() as held:
            return tuple(self._load(held.token()).values())

    def close(self) -> None:
        """Close what is kept open."""
        self._lock.close()

    def _load(self, token: bytes) -> dict[str, MountPoint]:
        known = self._known
        if known is not None and known[0] == token:
            return known[1]
        try:
            with open(self._path, "rb") as file:
                value = orjson.loads(file.read())
        except FileNotFoundError:
            return {}
        except orjson.JSONDecodeError as error:
            raise DamagedStore(f"{self._path}: not JSON ({error}); the file was left as it is") from error
        mounts = [decode_mount(item, self._path) for item in records_of(value, self._path)]
        return {mount.layer: mount for mount in mounts}
