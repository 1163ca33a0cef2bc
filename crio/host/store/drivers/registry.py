"""The drivers by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from crio.core.errors import InvalidArgument
from crio.core.storage.driveroptions import DriverOptions
from crio.host.store.drivers.btrfs import BtrfsDriver
from crio.host.store.drivers.overlay import OverlayDriver
from crio.host.store.drivers.port import Driver
from crio.host.store.drivers.vfs import VfsDriver
from crio.host.store.staging import StagingArea

DRIVERS: dict[str, Callable[[str, Sequence[str], DriverOptions, StagingArea], Driver]] = {
    "overlay": OverlayDriver,
    "vfs": VfsDriver,
    "btrfs": BtrfsDriver,
}
_REMOVED = ("aufs", "devicemapper")


def make_driver(name: str, home: str, others: Sequence[str], options: DriverOptions, area: StagingArea) -> Driver:
    """Return the driver ``name`` for ``home``. Raises InvalidArgument for one that does not exist, or no longer."""
    if name in _REMOVED:
        raise InvalidArgument(
            f"storage driver {name!r} was removed upstream: copy the images out with a tool that still has it, set"
            " storage_driver to overlay, and pull or load them again; the old directories are not touched"
        )
    if name not in DRIVERS:
        raise InvalidArgument(f"storage driver is {name!r}, expected one of {', '.join(sorted(DRIVERS))}")
    return DRIVERS[name](home, others, options, area)
