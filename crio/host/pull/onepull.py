"""One pull, step by step: candidates, manifest, policy, configuration, layers, record."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from crio.core.errors import CriError
from crio.core.image.digest import Digest, digest_of
from crio.core.image.document import DOCUMENT_LIMIT_BYTES
from crio.core.image.errors import BadDocument, NotAnImage
from crio.core.image.imageconfig import ImageConfig, parse_image_config
from crio.core.image.manifest import Descriptor, ImageManifest
from crio.core.image.mediatypes import is_layer
from crio.core.image.reference import Reference
from crio.core.image.registries import RegistriesConf
from crio.core.image.schema1 import SchemaOneManifest
from crio.core.image.shortnames import pull_candidates
from crio.host.pull.artifacts import ArtifactBlob, ArtifactStore
from crio.host.pull.layers import LayerRun, LayerShop, RunLimits
from crio.host.pull.options import MAX_LAYERS_AT_ONCE, PullOptions, PullRequest, PullResult
from crio.host.pull.progress import PullCounter, PullState
from crio.host.pull.resolve import ResolvedImage, resolve
from crio.host.pull.signaturesource import RegistrySignatures
from crio.host.pull.source import Blob, ImageSource, blob_of, open_registry
from crio.host.pull.trust import TrustChecker, registry_subject
from crio.host.pull.unpacker import LayerJob
from crio.host.registry.ahead import RangeBudget
from crio.host.registry.conffiles import load_recorded_aliases
from crio.host.registry.credentials import CredentialSource, GivenCredentials
from crio.host.registry.http import Web
from crio.host.store.options import ImageCommit

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bench:
    """What every pull of an engine works with."""

    options: PullOptions
    shop: LayerShop
    trust: TrustChecker
    ranges: RangeBudget


@dataclass(frozen=True, slots=True)
class Fetched:
    """An image ready to be fetched: where it is, what it is, and the signatures that let it in."""

    source: ImageSource
    image: ResolvedImage
    names: tuple[str, ...]
    signatures: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)
    limits: RunLimits = RunLimits(MAX_LAYERS_AT_ONCE)


@dataclass(frozen=True, slots=True)
class _Plan:
    """The layers to fetch. The configuration is unknown before them only for schema 1."""

    jobs: tuple[LayerJob, ...]
    config_body: bytes | None
    config_digest: Digest | None
    config: ImageConfig | None


async def pull_from_registry(
    bench: Bench, conf: RegistriesConf, request: PullRequest, counter: PullCounter, auth_file: Path | None
) -> PullResult:
    """Pulls what ``request`` names, trying the candidates of a short name in order."""
    aliases = await asyncio.to_thread(load_recorded_aliases, bench.options.registries)
    mode = bench.options.short_names or conf.short_name_mode
    candidates = pull_candidates(request.reference.removeprefix("docker://"), conf, aliases, mode)
    given = GivenCredentials(request.credentials, auth_file)
    failures: list[CriError] = []
    for reference in candidates:
        credentials = CredentialSource(bench.options.auth, conf.credential_helpers, reference, given)
        try:
            return await _pull_candidate(bench, conf, reference, credentials, request, counter)
        except CriError as error:
            failures.append(error)
    *others, last = failures
    if others:
        last.message = f"{last.message} (tried before: {'; '.join(error.message for error in others)})"
        last.args = (last.message,)
    raise last


async def _pull_candidate(
    bench: Bench,
    conf: RegistriesConf,
    reference: Reference,
    credentials: CredentialSource,
    request: PullRequest,
    counter: PullCounter,
) -> PullResult:
    async with Web(bench.options.web, bench.ranges) as web:
        opened = await open_registry(web, conf, reference, credentials)
        counter.endpoint = opened.source.label
        image = await resolve(opened.source, opened.top, reference.digest, bench.options.platform)
        signed = RegistrySignatures(bench.options.trust, web, opened.source.client, reference)
        subject = registry_subject(reference, image.instance_digest, signed)
        signatures = await bench.trust.check(subject, request.namespace)
        kept = {str(image.instance_digest): signatures} if signatures else {}
        fetched = Fetched(opened.source, image, (str(reference),), kept, RunLimits(MAX_LAYERS_AT_ONCE, request.cgroup_procs))
        if bench.options.artifacts_dir and isinstance(image.manifest, ImageManifest) and image.manifest.is_artifact:
            return await _fetch_artifact(ArtifactStore(bench.options.artifacts_dir), fetched, reference, counter)
        return await fetch_image(bench, fetched, reference, counter)


async def _fetch_artifact(store: ArtifactStore, fetched: Fetched, reference: Reference, counter: PullCounter) -> PullResult:
    """Brings an artifact that the policy let in into the artifact store; its id is the hex of its manifest's digest."""
    manifest, digest = fetched.image.manifest, fetched.image.instance_digest
    assert isinstance(manifest, ImageManifest)
    counter.enter(PullState.LAYERS)
    parts = {part.digest: part for part in (manifest.config, *manifest.layers)}
    for part in parts.values():
        if part.digest.algorithm != "sha256":
            raise BadDocument(f"artifact blob {part.digest}: expected a sha256 digest")
        blob = ArtifactBlob(blob_of(part), counter.add_layer(str(part.digest), part.size_bytes, part.media_type))
        await store.fetch(fetched.source, blob)
    counter.enter(PullState.COMMITTING)
    body = fetched.image.bodies[str(digest)]
    await asyncio.to_thread(store.add, body, manifest.media_type, digest, str(reference))
    bytes_fetched = sum(layer.fetched_bytes for layer in counter.layers)
    return PullResult(digest.hex, f"{reference.repository}@{digest}", str(reference), bytes_fetched, 0)


async def fetch_image(bench: Bench, fetched: Fetched, reference: Reference | None, counter: PullCounter) -> PullResult:
    """Brings an image that the policy let in into the store.

    :param reference: the name that it gets there, if it gets one
    """
    counter.enter(PullState.CONFIG)
    plan = await _plan(fetched)
    _warn_of_platform(bench, plan, fetched)
    counter.enter(PullState.LAYERS)
    async with LayerRun(bench.shop, fetched.source, counter, fetched.limits) as run:
        layers = await run.fetch(plan.jobs)
        counter.enter(PullState.COMMITTING)
        commit = _commit_of(fetched, plan, layers.top, layers.diff_ids)
        record = await bench.shop.threads.call(functools.partial(bench.shop.store.commit_image, commit))
    repository = reference.repository if reference is not None else ""
    return PullResult(
        image_id=record.id,
        repo_digest=f"{repository}@{fetched.image.top_digest}" if repository else "",
        name=fetched.names[0] if fetched.names else "",
        bytes_fetched=layers.bytes_fetched,
        layers_reused=layers.reused,
    )


async def _plan(fetched: Fetched) -> _Plan:
    manifest = fetched.image.manifest
    if isinstance(manifest, SchemaOneManifest):
        return _Plan(tuple(LayerJob(Blob(digest), None) for digest in manifest.layers), None, None, None)
    if manifest.is_artifact:
        kind = manifest.artifact_type or manifest.config.media_type
        raise NotAnImage(f"{fetched.source.label}: is an artifact of type {kind!r}, expected a container image")
    body = await _config_body(fetched.source, manifest.config)
    config = parse_image_config(body, f"configuration of {fetched.source.label}")
    return _Plan(_jobs(manifest, config, fetched.source.label), body, manifest.config.digest, config)


async def _config_body(source: ImageSource, descriptor: Descriptor) -> bytes:
    if descriptor.digest.algorithm != "sha256":
        # The image id is the hex of this digest, and ids have 64 digits everywhere.
        raise BadDocument(f"configuration {descriptor.digest}: expected a sha256 digest")
    if descriptor.size_bytes > DOCUMENT_LIMIT_BYTES:
        raise BadDocument(
            f"configuration {descriptor.digest}: {descriptor.size_bytes} bytes, more than the limit of {DOCUMENT_LIMIT_BYTES}"
        )
    return descriptor.data if descriptor.data is not None else await source.small_blob(blob_of(descriptor))


def _jobs(manifest: ImageManifest, config: ImageConfig, label: str) -> tuple[LayerJob, ...]:
    if len(manifest.layers) != len(config.diff_ids):
        raise BadDocument(
            f"{label}: the manifest has {len(manifest.layers)} layers, but the configuration has {len(config.diff_ids)} diff_ids"
        )
    for layer in manifest.layers:
        if not is_layer(layer.media_type):
            raise BadDocument(f"{label}: layer {layer.digest} is of type {layer.media_type!r}, which cannot be unpacked")
    return tuple(LayerJob(blob_of(layer), diff_id) for layer, diff_id in zip(manifest.layers, config.diff_ids, strict=True))


def _warn_of_platform(bench: Bench, plan: _Plan, fetched: Fetched) -> None:
    """An image that was not chosen from an index may be for another machine, on purpose: say it, and go on."""
    if plan.config is None:
        return
    wanted = bench.options.platform
    if (plan.config.os, plan.config.architecture) != (wanted.os, wanted.architecture):
        _log.warning("image %r is for %s, this machine is %s", fetched.source.label, plan.config.platform, wanted)


def _commit_of(fetched: Fetched, plan: _Plan, top_layer: str, diff_ids: tuple[str, ...]) -> ImageCommit:
    image = fetched.image
    if plan.config_body is not None and plan.config_digest is not None and plan.config is not None:
        body, digest, created = plan.config_body, plan.config_digest, plan.config.created
    else:
        assert isinstance(image.manifest, SchemaOneManifest)
        body = image.manifest.configuration(diff_ids)
        digest = digest_of(body)
        created = parse_image_config(body).created
    return ImageCommit(
        image_id=digest.hex,
        top_layer=top_layer,
        names=fetched.names,
        digest=str(image.top_digest),
        created=created,
        config_digest=str(digest),
        config=body,
        manifests=image.bodies,
        instance_digest=str(image.instance_digest),
        signatures=fetched.signatures,
    )
