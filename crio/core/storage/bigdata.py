"""Names of big-data files. Plain keys are file names as they are; all others become ``=`` and standard base64."""

from __future__ import annotations

import base64
import re

from crio.core.errors import InvalidArgument

MANIFEST_KEY = "manifest"
SIGNATURES_KEY = "signatures"
_PLAIN = re.compile(r"[a-z0-9.]+")


def file_name(key: str) -> str:
    """Return the file name for big data ``key``. Raises InvalidArgument for a key that has no usable file name."""
    if _PLAIN.fullmatch(key) and key not in (".", ".."):
        return key
    encoded = "=" + base64.b64encode(key.encode()).decode()
    if not key or "/" in encoded or len(encoded) > 255:
        raise InvalidArgument(f"big data key is {key!r}, expected a name that gives a file name without a slash")
    return encoded


def manifest_key(digest: str) -> str:
    """Return the key of the manifest with ``digest``."""
    return f"manifest-{digest}"


def signature_key(manifest_hex: str) -> str:
    """Return the key of the signatures of the manifest whose digest is ``manifest_hex``."""
    return f"signature-{manifest_hex}"
