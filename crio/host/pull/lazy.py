"""The pull engine, made when the first image is pulled.

The HTTP client alone costs more memory than all of an idle daemon's state, and most restarts pull nothing for a long time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from crio.core.settings.values import Settings

if TYPE_CHECKING:
    from crio.host.pull.engine import ProgressListener, PullEngine
    from crio.host.pull.options import PullRequest, PullResult
    from crio.host.pull.progress import PullProgress
    from crio.host.pull.store import PullStore
    from crio.host.registry.conffiles import RegistriesFiles


class LazyPulls:
    """Does what ``PullEngine`` does; ``make`` is called with the first pull."""

    def __init__(self, make: Callable[[], PullEngine]) -> None:
        self._make = make
        self._engine: PullEngine | None = None

    async def pull(self, request: PullRequest, progress: ProgressListener | None = None) -> PullResult:
        """See ``PullEngine.pull``."""
        if self._engine is None:
            self._engine = self._make()
        return await self._engine.pull(request, progress)

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


def pull_engine(store: PullStore, settings: Settings, files: RegistriesFiles, unpack_program: str) -> PullEngine:
    """An engine as the settings say."""
    import os
    from pathlib import Path

    from crio.core.image.registries import ShortNameMode
    from crio.host.pull.engine import PullEngine
    from crio.host.pull.options import PullOptions, TrustOptions
    from crio.host.registry.credentials import AuthOptions, default_auth_files
    from crio.host.registry.options import WebOptions

    image = settings.image
    certs = (Path("/etc/containers/certs.d"), Path("/etc/docker/certs.d"))
    stall_s = image.pull_progress_timeout.total_seconds()
    return PullEngine(
        store,
        PullOptions(
            unpack_program=unpack_program,
            registries=files,
            short_names=ShortNameMode(str(image.short_name_mode)),
            auth=AuthOptions(image.global_auth_file, default_auth_files(os.environ, os.getuid())),
            namespaced_auth_dir=image.namespaced_auth_dir,
            web=WebOptions(certs_dirs=certs, stall_s=stall_s) if stall_s > 0 else WebOptions(certs_dirs=certs),
            trust=TrustOptions(policy=image.signature_policy, policy_dir=image.signature_policy_dir),
            big_files_dir=image.big_files_temporary_dir or "/var/tmp",
        ),
    )
