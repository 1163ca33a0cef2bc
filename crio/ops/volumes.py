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
from crio.core.image.artifact import file_name_of
from crio.host.files import RootFs
from crio.host.sources import ImageSource, Taken, VolumePart
from crio.ops import images
from crio.ops.context import Context

log = logging.getLogger(__name__)


def source_of(ctx: Context, taken: Taken) -> ImageSource:
    """A function that mounts the image of a volume, notes it in ``taken`` and says what to bind. It raises NotFound, InvalidArgument.

    An artifact comes first: each of its files is bound under its own name; a sub path chooses those whose names begin with it.
    """

    def find(index: int, mount: Mount) -> tuple[VolumePart, ...]:
        assert mount.image is not None
        field = f"config.mounts[{index}].image"
        parts = _artifact_parts(ctx, mount.image.image, mount.image_sub_path, field)
        if parts:
            return parts
        record = images.find(ctx, mount.image.image)
        if record is None:
            raise NotFound(f"ImageVolumeMountFailed: {field} {mount.image.image!r} is not in the store: pull it first")
        path = ctx.store.mount_image(record.id)
        taken.images.append(record.id)
        return (VolumePart(_below(path, mount.image_sub_path, field) if mount.image_sub_path else path),)

    return find


def _artifact_parts(ctx: Context, name: str, sub_path: str, field: str) -> tuple[VolumePart, ...]:
    found = images.find_artifact(ctx, name)
    if found is None:
        return ()
    store, artifact = found
    files = [(file_name_of(layer), store.blob_path(layer.digest)) for layer in artifact.layers]
    wanted = tuple(VolumePart(path, title) for title, path in files if title.startswith(sub_path))
    if not wanted:
        raise InvalidArgument(f"ImageVolumeMountFailed: {field} {name!r} has no file whose name begins with {sub_path!r}")
    return wanted


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
