"""The pull engine, made when the first image is pulled.

The HTTP client alone costs more memory than all of an idle daemon's state, and most restarts pull nothing for a long time.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from crio.core.settings.values import Settings
from crio.host.pull.leftlayers import LeftFile, LeftLayers
from crio.host.pull.store import PullStore, StoreThreads

if TYPE_CHECKING:
    from crio.core.storage.records import ImageRecord
    from crio.host.pull.artifacts import ArtifactStore
    from crio.host.pull.engine import ProgressListener, PullEngine
    from crio.host.pull.options import PullOptions, PullRequest, PullResult, TrustOptions
    from crio.host.pull.progress import PullProgress
    from crio.host.pull.trust import TrustChecker
    from crio.host.registry.conffiles import RegistriesFiles


class LazyPulls:
    """Does what ``PullEngine`` does; ``make`` is called with the first pull. What needs no HTTP client works without the engine."""

    def __init__(self, make: Callable[[LeftLayers], PullEngine], store: PullStore, settings: Settings) -> None:
        self._make = make
        self._store = store
        self._settings = settings
        self._threads = StoreThreads()
        self._left = LeftLayers(store, self._threads, LeftFile(settings.root.root))
        self._engine: PullEngine | None = None
        self._judge: TrustChecker | None = None

    async def pull(self, request: PullRequest, progress: ProgressListener | None = None) -> PullResult:
        """See ``PullEngine.pull``."""
        if self._engine is None:
            self._engine = self._make(self._left)
        return await self._engine.pull(request, progress)

    async def check_policy(self, image: ImageRecord, asked: str, namespace: str) -> None:
        """Judge an image of the store again before a container is made of it; raises SignatureValidationFailed, BadConfigFile."""
        from crio.host.pull.recheck import StoredSignatures, check_stored

        if self._judge is None:
            from crio.host.pull.trust import TrustChecker

            self._judge = TrustChecker(trust_options(self._settings))
        await check_stored(self._judge, StoredSignatures(self._store, self._threads, image), asked, namespace)

    async def tend(self) -> None:
        """Remove what failed pulls have left, also those of an earlier daemon, when its time is over; until it is cancelled."""
        await self._left.tend()

    def artifact_stores(self) -> tuple[ArtifactStore, ...]:
        """Where OCI artifacts are, in the order of the search: the read-only stores, then the one beside the images."""
        own = artifacts_directory(self._settings)
        others = [os.path.join(path, "artifacts") for path in self._settings.runtime.additional_artifact_stores] if own else []
        found = [path for path in (*others, own) if path and os.path.exists(os.path.join(path, "index.json"))]
        if not found:
            return ()
        from crio.host.pull.artifacts import ArtifactStore

        return tuple(ArtifactStore(path, read_only=path != own) for path in found)

    def active(self) -> tuple[PullProgress, ...]:
        """The pulls that are going on now."""
        return () if self._engine is None else self._engine.active()

    def reload(self) -> None:
        """Read the registry configuration anew with the next pull."""
        if self._engine is not None:
            self._engine.reload()

    def close(self) -> None:
        """End the engine, if it was ever made."""
        if self._engine is not None:
            self._engine.close()
        self._threads.close()


def artifacts_directory(settings: Settings) -> str:
    """Where artifacts are kept; empty when the configuration turns them off."""
    return os.path.join(settings.root.root, "artifacts") if settings.image.oci_artifact_mount_support else ""


def trust_options(settings: Settings) -> TrustOptions:
    """Where trust is written down, as the settings say."""
    from crio.host.pull.options import TrustOptions
    from crio.host.registry.conffiles import user_folder

    usual = TrustOptions(policy=settings.image.signature_policy, policy_dir=settings.image.signature_policy_dir)
    own = os.path.join(user_folder(os.environ), "registries.d")
    return dataclasses.replace(usual, registries_d=(own,)) if os.path.isdir(own) else usual


def pull_engine(store: PullStore, left: LeftLayers, options: PullOptions) -> PullEngine:
    """An engine, with everything that it needs loaded."""
    from crio.host.pull.engine import PullEngine

    return PullEngine(store, options, left)


def pull_options(settings: Settings, files: RegistriesFiles, unpack_program: str) -> PullOptions:
    """How to pull, as the settings say."""
    from pathlib import Path

    from crio.core.image.registries import ShortNameMode
    from crio.host.pull.options import PullOptions
    from crio.host.registry.conffiles import user_folder
    from crio.host.registry.credentials import AuthOptions, default_auth_files
    from crio.host.registry.options import WebOptions

    image = settings.image
    certs = (Path(user_folder(os.environ), "certs.d"), Path("/etc/containers/certs.d"), Path("/etc/docker/certs.d"))
    stall_s = image.pull_progress_timeout.total_seconds()
    return PullOptions(
        unpack_program=unpack_program,
        registries=files,
        short_names=ShortNameMode(mode) if (mode := str(image.short_name_mode)) else None,
        auth=AuthOptions(image.global_auth_file, default_auth_files(os.environ, os.getuid())),
        namespaced_auth_dir=image.namespaced_auth_dir,
        web=WebOptions(certs_dirs=certs, stall_s=stall_s) if stall_s > 0 else WebOptions(certs_dirs=certs),
        trust=trust_options(settings),
        artifacts_dir=artifacts_directory(settings),
        big_files_dir=image.big_files_temporary_dir or "/var/tmp",
    )
