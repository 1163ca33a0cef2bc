"""Whether the policy lets an image in: before its layers are fetched, and again when a container is made of it.

Every requirement of the list that the policy chooses must be satisfied. Those that say yes or no to anything are asked first, so
that no signature is fetched for an image that is rejected anyhow.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from crio.core.image.digest import Digest
from crio.core.image.errors import BadConfigFile, SignatureValidationFailed
from crio.core.image.policy import (
    AcceptAnything,
    Policy,
    Reject,
    Requirement,
    SignedBy,
    SigstoreSigned,
    docker_scopes,
    parse_policy,
)
from crio.core.image.reference import Reference
from crio.host.pull.gpg import verify_simple
from crio.host.pull.options import TrustOptions
from crio.host.pull.sigstore import verify_sigstore
from crio.host.registry.conffiles import read_bounded_file

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class SignatureSource(Protocol):
    """Where the signatures of an image are."""

    async def signatures(self, digest: Digest) -> tuple[bytes, ...]:
        """The signature blobs for a manifest, in storage form: OpenPGP messages and sigstore ones."""


@dataclass(frozen=True, slots=True)
class TrustSubject:
    """An image to judge. ``reference`` is what the user asked for, never a mirror."""

    transport: str
    scopes: tuple[str, ...]
    reference: Reference | None
    manifest_digest: Digest
    source: SignatureSource

    @property
    def title(self) -> str:
        """What to call the image in a sentence."""
        return str(self.reference) if self.reference is not None else self.scopes[0]


def registry_subject(reference: Reference, digest: Digest, source: SignatureSource) -> TrustSubject:
    """An image in a registry as something to judge."""
    return TrustSubject("docker", tuple(docker_scopes(reference)), reference, digest, source)


class TrustChecker:
    """Judges images by the policy files; they are read at each question, so that a change holds at once."""

    def __init__(self, options: TrustOptions) -> None:
        self._options = options

    async def check(self, subject: TrustSubject, namespace: str) -> tuple[bytes, ...]:
        """Returns the signatures of an image that the policy lets in.

        :param namespace: the Kubernetes namespace, which may have a policy of its own
        :raises SignatureValidationFailed: it does not
        :raises BadConfigFile: no policy file, or one with errors
        """
        policy = await asyncio.to_thread(self._load, namespace)
        requirements = policy.requirements(subject.transport, iter(subject.scopes))
        for requirement in requirements:
            if isinstance(requirement, Reject):
                raise SignatureValidationFailed(f"image {subject.title!r}: {requirement.why} ({policy.source})")
        signed = [one for one in requirements if not isinstance(one, AcceptAnything)]
        if not signed:
            return ()
        signatures = await subject.source.signatures(subject.manifest_digest)
        for requirement in signed:
            await self._check_one(requirement, subject, signatures, policy)
        return signatures

    async def _check_one(self, requirement: Requirement, subject: TrustSubject, signatures: Sequence[bytes], policy: Policy) -> None:
        if subject.reference is None:
            raise SignatureValidationFailed(f"image {subject.title!r}: has no registry name that a signature could name")
        problems: list[str] = []
        for signature in signatures:
            if isinstance(requirement, SignedBy):
                problem = await verify_simple(requirement, subject.reference, subject.manifest_digest, signature)
            elif isinstance(requirement, SigstoreSigned):
                problem = await asyncio.to_thread(verify_sigstore, requirement, subject.reference, subject.manifest_digest, signature)
            else:
                return
            if problem is None:
                return
            problems.append(problem)
        said = "; ".join(problems) if problems else "a signature was required, but no signature exists"
        raise SignatureValidationFailed(f"image {subject.title!r}: {said} ({policy.source})")

    def _load(self, namespace: str) -> Policy:
        for path in self._paths(namespace):
            try:
                return parse_policy(read_bounded_file(path), path)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise BadConfigFile(f"{path}: {error.strerror}") from error
        raise BadConfigFile(f"{self._paths(namespace)[-1]}: no such file; without a policy no image can be pulled")

    def _paths(self, namespace: str) -> list[str]:
        options = self._options
        own = [options.policy] if options.policy else list(options.default_policies)
        if namespace and options.policy_dir and _NAMESPACE.fullmatch(namespace):
            own.insert(0, os.path.join(options.policy_dir, f"{namespace}.json"))
        return own
