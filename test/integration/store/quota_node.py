"""Limits of containers on real project quotas: ``python -m test.integration.store.quota_node [xfs|ext4]``, as root.

Not collected by pytest: the kernel of the usual test host has no project quotas (neither CONFIG_XFS_QUOTA nor CONFIG_QFMT_V2), so
this runs on a disposable node with a distribution kernel. It prints one line and exits with 0, or raises.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from crio.host.store import ContainerCreate, Store
from test.integration.store.kit import Image, busybox_layers, commit, loop_mount, make_tools

DISKS = {
    "xfs": (("mkfs.xfs", "-q", "-f"), 320),
    "ext4": (("mkfs.ext4", "-q", "-O", "quota,project", "-E", "quotatype=prjquota"), 128),
}
DEFAULT_LIMIT, OWN_LIMIT = 4 << 20, 8 << 20


def fill(store: Store, container_id: str, limit: int) -> None:
    """Write until the disk refuses; the limit and the count must be those of the container."""
    root = store.mount(container_id)
    written = 0
    try:
        with open(f"{root}/big", "wb", buffering=0) as file:
            while written < 64 << 20:
                written += file.write(b"x" * (256 << 10))
                os.fsync(file.fileno())
    except OSError:
        pass
    usage = store.writable_usage(container_id)
    assert usage is not None
    assert limit * 0.75 <= usage.used_bytes <= limit, (usage, limit)
    os.unlink(f"{root}/big")
    Path(root, "small").write_text("fits")
    store.delete_container(container_id)


def main(kind: str) -> None:
    """Fill two containers on a fresh file system of ``kind``."""
    maker, size_mb = DISKS[kind]
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        disk = loop_mount(folder, maker, size_mb, "prjquota")
        try:
            store = make_tools(disk).open(options=(f"overlay.size={DEFAULT_LIMIT}",))
            image = commit(store, Image(busybox_layers()), "localhost/a:1")
            for number, limit in enumerate((DEFAULT_LIMIT, OWN_LIMIT)):
                container_id = os.urandom(32).hex()
                own = limit if limit != DEFAULT_LIMIT else 0
                store.create_container(ContainerCreate(container_id, (f"c{number}",), image.id, "{}", size_bytes=own))
                fill(store, container_id, limit)
            assert store.wait_removed()
            store.shutdown()
        finally:
            subprocess.run(["umount", "--lazy", disk], check=True)
    print(f"{kind}: limits are kept and counted")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "xfs")
