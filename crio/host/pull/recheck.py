"""Judging an image of the store again, when a container is about to be made of it.

The policy may have changed since the pull, and other programs put images into the same store. The signatures are those that the
pull kept with the image.

Source: specification C.5.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from crio.core.errors import NotFound
from crio.core.image.digest import Digest, parse_digest
from crio.core.image.errors import BadReference, SignatureValidationFailed
from crio.core.image.policy import docker_scopes
from crio.core.image.reference import Reference, parse_user_reference
from crio.core.storage.bigdata import MANIFEST_KEY, signature_key
from crio.core.storage.records import ImageRecord
from crio.core.storage.signatures import split_signatures
from crio.host.pull.store import PullStore, StoreThreads
from crio.host.pull.trust import TrustChecker, TrustSubject


@dataclass(frozen=True, slots=True)
class StoredSignatures:
    """The signatures that were kept with an image."""

    store: PullStore
    threads: StoreThreads
    image: ImageRecord

    async def signatures(self, digest: Digest) -> tuple[bytes, ...]:
        """The signature blobs for the manifest ``digest``; none when none were kept."""
        read = functools.partial(self.store.image_big_data, self.image.id, signature_key(digest.hex))
        try:
            joined = await self.threads.call(read)
        except NotFound:
            return ()
        return split_signatures(self.image.metadata, str(digest), joined)


async def check_stored(trust: TrustChecker, signatures: StoredSignatures, asked: str, namespace: str) -> None:
    """Checks that the policy still lets an image of the store in.

    :param asked: what the container's configuration calls the image: a name, a short name or an id
    :raises SignatureValidationFailed: it does not, under any of the names that may be meant
    """
    image = signatures.image
    digest = parse_digest(image.big_data_digests.get(MANIFEST_KEY, image.digest))
    failure: SignatureValidationFailed | None = None
    for reference in _names(asked, image):
        scopes = tuple(docker_scopes(reference)) if reference is not None else (f"@{image.id}",)
        try:
            await trust.check(TrustSubject("docker", scopes, reference, digest, signatures), namespace)
        except SignatureValidationFailed as error:
            failure = failure or error
        else:
            return
    assert failure is not None
    raise failure


def _names(asked: str, image: ImageRecord) -> list[Reference | None]:
    """The full name that was asked for, else the names of the image; None stands for an image without any."""
    found: list[Reference | None] = []
    for text in (asked, *image.names):
        try:
            parsed = parse_user_reference(text)
        except BadReference:
            continue
        if isinstance(parsed, Reference):
            found.append(parsed.settled())
            if text == asked:
                break
    return found or [None]
