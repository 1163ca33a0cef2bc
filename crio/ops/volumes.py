"""Image volumes: an image's file system, read-only, inside a container.

The store mounts the image once and counts its users; the count survives the daemon. A path below the image is resolved inside it, so no
link of an image leads out. Source: CRI ``Mount.image`` and ``image_sub_path``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable

from crio.core.config import Mount
from crio.core.errors import CriError, InvalidArgument, NotFound
from crio.host.files import RootFs
from crio.host.sources import ImageSource, Taken
from crio.ops import images
from crio.ops.context import Context

log = logging.getLogger(__name__)


def source_of(ctx: Context, taken: Taken) -> ImageSource:
    """A function that mounts the image of a volume, notes it in ``taken`` and gives the path to bind. It raises NotFound, InvalidArgument."""

    def find(index: int, mount: Mount) -> str:
        assert mount.image is not None
        field = f"config.mounts[{index}].image"
        record = images.find(ctx, mount.image.image)
        if record is None:
            raise NotFound(f"ImageVolumeMountFailed: {field} {mount.image.image!r} is not in the store: pull it first")
        path = ctx.store.mount_image(record.id)
        taken.images.append(record.id)
        return _below(path, mount.image_sub_path, field) if mount.image_sub_path else path

    return find


def _below(root: str, sub_path: str, field: str) -> str:
    if sub_path.startswith("/") or ".." in sub_path.split("/"):
        raise InvalidArgument(f"ImageVolumeMountFailed: {field} sub path {sub_path!r}: expected a relative path without '..'")
    try:
        with RootFs(root) as rootfs:
            fd = rootfs.open(sub_path, os.O_PATH)
            try:
                return os.readlink(f"/proc/self/fd/{fd}")
            finally:
                os.close(fd)
    except OSError as error:
        raise InvalidArgument(f"ImageVolumeMountFailed: {field} sub path {sub_path!r} is not in the image: {error.strerror}") from error


def release(ctx: Context, image_ids: Iterable[str]) -> None:
    """Give image mounts back. Blocks."""
    for image_id in image_ids:
        try:
            ctx.store.unmount_image(image_id)
        except CriError as error:
            log.warning("image volume %s cannot be unmounted: %s", image_id, error)
