"""The records of attachments on disk: ``<cache_dir>/results``.

A record is replaced by rename. It is not forced to the disk: after a power cut its network namespace is gone as well, the
plugins' own leases are no more durable than it is, and a record that cannot be read is undone with the network's present
configuration.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re

from crio.core.cni.record import OWNER, RECORD_LIMIT_BYTES, Record, dump_record, file_suffix, parse_record
from crio.core.errors import Internal
from crio.core.image.errors import BadDocument
from crio.host.files import read_bounded, write_atomic

# What write_atomic leaves when the daemon is killed in it.
_STAGED = re.compile(r"\.tmp-[0-9a-f]{8}$")
_log = logging.getLogger(__name__)


class Records:
    """Reads and writes the records of one cache directory, which daemons with other stores may share."""

    def __init__(self, cache_dir: str, owner: str = OWNER) -> None:
        self._dir = os.path.join(cache_dir, "results")
        self._owner = owner

    def write(self, record: Record) -> None:
        """Write or replace a record. :raises Internal: the directory cannot be written; names it"""
        path = os.path.join(self._dir, record.file_name())
        try:
            os.makedirs(self._dir, mode=0o700, exist_ok=True)
            write_atomic(path, dump_record(record, self._owner))
        except OSError as error:
            raise Internal(f"cannot write the CNI record {path}: {error.strerror}") from error

    def has(self, network_name: str, sandbox_id: str) -> bool:
        """Whether a sandbox has a record of a network; costs one look, however many records there are."""
        return os.path.exists(os.path.join(self._dir, network_name + file_suffix(sandbox_id)))

    def find(self, sandbox_id: str, likely_network: str = "") -> tuple[str, ...]:
        """The file names of a sandbox's records; looks at the likely network first, then at all."""
        suffix = file_suffix(sandbox_id)
        if likely_network and self.has(likely_network, sandbox_id):
            return (likely_network + suffix,)
        return tuple(name for name in self._names() if name.endswith(suffix))

    def read(self, file_name: str) -> Record | None:
        """A record; None when it is gone or cannot be read (which is logged)."""
        try:
            return parse_record(read_bounded(os.path.join(self._dir, file_name), RECORD_LIMIT_BYTES), file_name, self._owner)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, BadDocument) as error:
            _log.warning("CNI record %r cannot be read: %s", file_name, error)
            return None

    def remove(self, file_name: str) -> None:
        """Remove a record that may be gone already."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self._dir, file_name))

    def all(self) -> tuple[Record, ...]:
        """Every record that can be read, ours and those of other runtimes."""
        found = (self.read(name) for name in self._names())
        return tuple(record for record in found if record is not None)

    def _names(self) -> list[str]:
        try:
            return [name for name in os.listdir(self._dir) if _STAGED.search(name) is None]
        except (FileNotFoundError, NotADirectoryError):
            return []
