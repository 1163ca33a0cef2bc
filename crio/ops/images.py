"""Images: find, describe, list, pull, remove."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crio.core.config import ImageSpec
from crio.core.errors import CriError, FailedPrecondition, InvalidArgument, NotFound
from crio.core.image.artifact import Artifact
from crio.core.image.auth import Credentials
from crio.core.image.digest import parse_digest
from crio.core.image.imageconfig import ImageConfig, image_user, parse_image_config
from crio.core.image.manifest import ImageManifest, parse_manifest
from crio.core.image.names import NamedImage, find_by_id, find_by_name, repo_digests, repo_tags
from crio.core.image.pinned import pinned_images
from crio.core.storage.records import ImageRecord
from crio.host.pull.options import PullRequest, PullResult
from crio.host.pull.progress import PullProgress
from crio.ops.context import Context
from crio.ops.pull_cgroup import pull_cgroup

if TYPE_CHECKING:
    from crio.host.pull.artifacts import ArtifactStore


@dataclass(frozen=True, slots=True)
class Found:
    """An image as containers use it: its record, its configuration, one name (may be empty), one reference by digest."""

    record: ImageRecord
    config: ImageConfig
    name: str
    reference: str


@dataclass(frozen=True, slots=True)
class Described:
    """An image as clients see it. ``size_bytes`` is 0 when it is unknown; a list has no ``annotations``. Source: CRI ``Image``."""

    id: str
    repo_tags: tuple[str, ...]
    repo_digests: tuple[str, ...]
    size_bytes: int
    uid: int | None
    username: str
    pinned: bool
    labels: Mapping[str, str]
    config: bytes
    annotations: Mapping[str, str] = field(default_factory=dict)


_WHOLE_ID = re.compile(r"(?:sha256:)?[0-9a-f]{64}")
_configs: dict[str, ImageConfig] = {}


def named(record: ImageRecord) -> NamedImage:
    """The names of an image; digests that cannot be understood (other tools wrote them) are left out."""
    digests = []
    for text in record.digests:
        try:
            digests.append(parse_digest(text))
        except InvalidArgument:
            continue
    return NamedImage(record.id, record.names, record.names_history, tuple(digests))


def config_of(ctx: Context, record: ImageRecord) -> ImageConfig:
    """The image's configuration, kept in memory: an image id is the digest of it."""
    config = _configs.get(record.id)
    if config is None:
        config = _configs[record.id] = parse_image_config(ctx.store.image_config(record.id), f"configuration of image {record.id}")
    return config


def find(ctx: Context, text: str) -> ImageRecord | None:
    """The image that a client means: by id or its prefix, by name, by digest; None when the store has none."""
    records = {record.id: record for record in reversed(ctx.store.images())}
    pool = tuple(named(record) for record in records.values())
    match = find_by_id(text, pool)
    if match is None and _WHOLE_ID.fullmatch(text):
        return None
    if match is None:
        match = find_by_name(ctx.names.candidates(text), pool)
    return records[match.image_id] if match is not None else None


def require(ctx: Context, text: str) -> Found:
    """The image that a container is made of; raises NotFound, InvalidArgument for an impossible reference."""
    if not text:
        raise InvalidArgument("image is empty: expected a reference or an id")
    record = find(ctx, text)
    if record is None:
        raise NotFound(f"image {text!r} is not in the store: pull it first")
    names = named(record)
    digests = repo_digests(names)
    name = next(iter(record.names), "")
    return Found(record, config_of(ctx, record), name, digests[0] if digests else record.id)


def describe(ctx: Context, record: ImageRecord) -> Described:
    """The image as clients see it."""
    names = named(record)
    config = config_of(ctx, record)
    user = image_user(config.user)
    settings = ctx.settings.image
    pinned = pinned_images(settings.pinned_images, settings.pause_image).matches(record.names)
    return Described(
        id=record.id,
        repo_tags=repo_tags(names),
        repo_digests=repo_digests(names),
        size_bytes=ctx.store.image_size(record) or 0,
        uid=user.uid,
        username=user.username,
        pinned=pinned,
        labels=config.labels,
        config=ctx.store.image_config(record.id),
    )


def find_artifact(ctx: Context, text: str) -> tuple[ArtifactStore, Artifact] | None:
    """The artifact that a client means, and the store that has it: by reference, short or full, or by id; None when there is none."""
    stores = ctx.pulls.artifact_stores()
    for name in _artifact_names(ctx, text) if stores else ():
        for store in stores:
            if (artifact := store.find(name)) is not None:
                return store, artifact
    return None


def _artifact_names(ctx: Context, text: str) -> Iterator[str]:
    yield text
    if not _WHOLE_ID.fullmatch(text):
        yield from (str(candidate.settled()) for candidate in ctx.names.candidates(text))


def describe_artifact(ctx: Context, store: ArtifactStore, artifact: Artifact) -> Described:
    """An artifact as clients see it: an image without user or configuration, pinned when nobody can remove it."""
    settings = ctx.settings.image
    pinned = store.read_only or pinned_images(settings.pinned_images, settings.pause_image).matches((artifact.reference,))
    return Described(
        id=artifact.artifact_id,
        repo_tags=artifact.repo_tags,
        repo_digests=artifact.repo_digests,
        size_bytes=artifact.size_bytes,
        uid=None,
        username="",
        pinned=pinned,
        labels={},
        config=b"{}",
    )


def look_up(ctx: Context, text: str) -> Described | None:
    """The image or artifact that a client means, None when there is neither."""
    record = find(ctx, text)
    if record is not None:
        return describe(ctx, record)
    found = find_artifact(ctx, text)
    return describe_artifact(ctx, *found) if found is not None else None


def status(ctx: Context, text: str) -> Described | None:
    """The same with the annotations of its manifest."""
    record = find(ctx, text)
    if record is not None:
        return dataclasses.replace(describe(ctx, record), annotations=_annotations(ctx, record))
    found = find_artifact(ctx, text)
    return dataclasses.replace(describe_artifact(ctx, *found), annotations=found[1].annotations) if found is not None else None


def _annotations(ctx: Context, record: ImageRecord) -> Mapping[str, str]:
    try:
        manifest = parse_manifest(ctx.store.image_manifest(record.id), "", f"manifest of image {record.id}")
    except CriError:
        # Other tools store images without a manifest, or with one that nobody can pull.
        return {}
    return manifest.annotations if isinstance(manifest, ImageManifest) else {}


def list_images(ctx: Context, wanted: str) -> tuple[Described, ...]:
    """All images and artifacts, or the one that a filter names."""
    if wanted:
        found = look_up(ctx, wanted)
        return (found,) if found is not None else ()
    images = tuple(describe(ctx, record) for record in ctx.store.images())
    artifacts: dict[tuple[str, str], Described] = {}
    for store in ctx.pulls.artifact_stores():
        for artifact in store.artifacts():
            artifacts.setdefault((artifact.artifact_id, artifact.reference), describe_artifact(ctx, store, artifact))
    return (*images, *artifacts.values())


async def pull_image(
    ctx: Context,
    spec: ImageSpec,
    credentials: Credentials | None,
    namespace: str,
    progress: Callable[[PullProgress], None] | None = None,
    cgroup_parent: str = "",
) -> PullResult:
    """Pull an image; equal requests share one transfer, and it goes on when the client gives up.

    ``cgroup_parent`` is that of the pod that the image is for, if the request names one.

    Raises InvalidArgument (reference), NotFound, Unauthenticated, Unavailable (registry), PermissionDenied (policy), Internal.
    """
    if not spec.image:
        raise InvalidArgument("image.image is empty: expected a reference")
    key = f"{spec.image} {namespace} {hash(credentials)}"

    async def carry() -> PullResult:
        with ctx.timeline.operation("PullImage", spec.image), pull_cgroup(ctx, cgroup_parent) as cgroup_procs:
            return await ctx.pulls.pull(PullRequest(spec.image, credentials, namespace, cgroup_procs), progress)

    return await ctx.flights.join(("pull image", key), carry)


async def remove_image(ctx: Context, text: str) -> None:
    """Remove an image by id, or one name of it (and the image with its last name); unknown ones are success.

    Raises FailedPrecondition naming the container that uses it. Source: CRI RemoveImage.
    """
    if not text:
        raise InvalidArgument("image.image is empty: expected a reference or an id")
    record = find(ctx, text)
    if record is None:
        await _remove_artifact(ctx, text)
        return
    image_id = record.id
    await ctx.flights.join(("remove image", f"{image_id} {text}"), lambda: _carry_remove(ctx, image_id, text))


async def _carry_remove(ctx: Context, image_id: str, text: str) -> None:
    async with ctx.table.lock(image_id):
        # Another request may have taken a name away meanwhile, or all of it.
        record = find(ctx, text)
        if record is None:
            return
        by_id = find_by_id(text, (named(record),)) is not None
        settled = [] if by_id else [str(name.settled()) for name in ctx.names.candidates(text)]
        await _remove(ctx, record, [name for name in settled if name in record.names])


async def _remove_artifact(ctx: Context, text: str) -> None:
    found = find_artifact(ctx, text)
    if found is None:
        return
    store, artifact = found
    if store.read_only:
        raise FailedPrecondition(f"artifact {artifact.artifact_id} is in the read-only store {store.path} and cannot be removed")
    await ctx.blocking.run(store.remove, artifact.reference or artifact.artifact_id)


async def _remove(ctx: Context, record: ImageRecord, names: list[str]) -> None:
    left = [name for name in record.names if name not in names]
    if names and left:
        for name in names:
            await ctx.blocking.run(ctx.store.remove_name, record.id, name)
        return
    user = next((item for item in ctx.table.containers.all() if item.image_id == record.id), None)
    volume_user = next((item for item in ctx.table.containers.all() if record.id in item.image_volumes), None)
    if volume_user is not None:
        raise FailedPrecondition(f"the image is in use by {volume_user.id}: it is mounted there as a volume")
    if user is not None:
        raise FailedPrecondition(f"image {record.id} is used by container {user.id}: remove the container first")
    try:
        await ctx.blocking.run(ctx.store.delete_image, record.id)
    except NotFound:
        return
    _configs.pop(record.id, None)
