"""What the pull engine is told once, and what it is asked each time."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from crio.core.image.auth import Credentials
from crio.core.image.platform import Platform, platform_of_machine
from crio.core.image.registries import ShortNameMode
from crio.host.pull.progress import PullEnd
from crio.host.registry.conffiles import RegistriesFiles
from crio.host.registry.credentials import AuthOptions
from crio.host.registry.options import WebOptions

MAX_LAYERS_AT_ONCE = 6


def this_platform() -> Platform:
    """The platform of this machine."""
    return platform_of_machine(os.uname().machine)


@dataclass(frozen=True, slots=True)
class TrustOptions:
    """Where trust is written down. An empty ``policy`` means the default places, in order."""

    policy: str = ""
    default_policies: tuple[str, ...] = ("/root/.config/containers/policy.json", "/etc/containers/policy.json")
    policy_dir: str = ""
    registries_d: tuple[str, ...] = ("/etc/containers/registries.d",)
    lookaside: str = "file:///var/lib/containers/sigstore"


@dataclass(frozen=True, slots=True)
class Budgets:
    """What all pulls of this node may take together, and one layer alone.

    Each unpacker has a connection; the others, and ``ahead_bytes`` of memory, are for ranges of layers whose connection is slow.
    """

    connections: int = 12
    unpackers: int = 4
    ahead_bytes: int = 48 * 1024 * 1024
    unpack_s: int = 3600

    def ranges(self, range_bytes: int) -> int:
        """How many ranges may be fetched or kept at once."""
        return max(0, min(self.connections - self.unpackers, self.ahead_bytes // range_bytes))


@dataclass(frozen=True, slots=True)
class PullOptions:
    """How to pull. ``short_names`` None means what registries.conf says.

    ``artifacts_dir`` is where artifacts go (``artifacts`` in the store's root); empty: an artifact is an error. ``on_end`` is told of
    the end of every pull.
    """

    unpack_program: str
    registries: RegistriesFiles = field(default_factory=RegistriesFiles)
    short_names: ShortNameMode | None = ShortNameMode.ENFORCING
    auth: AuthOptions = field(default_factory=AuthOptions)
    namespaced_auth_dir: str = ""
    web: WebOptions = field(default_factory=WebOptions)
    trust: TrustOptions = field(default_factory=TrustOptions)
    budgets: Budgets = field(default_factory=Budgets)
    platform: Platform = field(default_factory=this_platform)
    big_files_dir: str = "/var/tmp"
    artifacts_dir: str = ""
    on_end: Callable[[PullEnd], None] | None = None


@dataclass(frozen=True, slots=True)
class PullRequest:
    """One request: the reference as the client wrote it, who asks, and for which Kubernetes namespace.

    ``cgroup_procs`` are the files that take unpackers into a cgroup of the caller's, which exists until the pull has ended.
    """

    reference: str
    credentials: Credentials | None = None
    namespace: str = ""
    cgroup_procs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PullResult:
    """The image in the store, under the name that it got there."""

    image_id: str
    repo_digest: str
    name: str
    bytes_fetched: int
    layers_reused: int
