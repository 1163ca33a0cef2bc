"""Where the signatures of an image in a registry are: lookaside storage, and attachments beside the image."""

from __future__ import annotations

from crio.core.image.digest import Digest


class RegistrySignatures:
    """The signatures of one image."""

    async def signatures(self, digest: Digest) -> tuple[bytes, ...]:
        """All signature blobs for the manifest ``digest``."""
        return ()
