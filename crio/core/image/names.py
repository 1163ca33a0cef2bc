"""What an image is called: tags and digests as the CRI lists them, and which image a user means.

Source: specification G.1 (RepoTags, RepoDigests) and G.2 (look-up).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from crio.core.image.digest import Digest
from crio.core.image.errors import BadReference
from crio.core.image.reference import Reference, parse_reference

MIN_ID_PREFIX = 3
_ID_PREFIX = re.compile(r"(?:sha256:)?([0-9a-f]{3,64})")


@dataclass(frozen=True, slots=True)
class NamedImage:
    """An image as far as its names go."""

    image_id: str
    names: tuple[str, ...]
    history: tuple[str, ...] = ()
    digests: tuple[Digest, ...] = ()


def repo_tags(image: NamedImage) -> tuple[str, ...]:
    """The names with a tag, sorted."""
    return tuple(sorted({str(name) for name in _parsed(image.names) if name.digest is None}))


def repo_digests(image: NamedImage) -> tuple[str, ...]:
    """The names with a digest, and every repository of a name with every digest of the image, sorted.

    An image that lost its last name is still known under the repository that it first had.
    """
    named = _parsed(image.names)
    found = {str(name) for name in named if name.digest is not None}
    repositories = {name.repository for name in named}
    if not named:
        repositories = {name.repository for name in _parsed(image.history[:1])}
    found.update(f"{repository}@{digest}" for repository in repositories for digest in image.digests)
    return tuple(sorted(found))


def find_by_id(text: str, images: Iterable[NamedImage]) -> NamedImage | None:
    """The one image whose id begins with ``text`` (at least three hex digits, ``sha256:`` allowed in front)."""
    match = _ID_PREFIX.fullmatch(text)
    if match is None:
        return None
    prefix = match.group(1)
    found = [image for image in images if image.image_id.startswith(prefix)]
    exact = [image for image in found if image.image_id == prefix]
    return exact[0] if exact else found[0] if len(found) == 1 else None


def find_by_name(candidates: Sequence[Reference], images: Iterable[NamedImage]) -> NamedImage | None:
    """The image that carries the first of ``candidates`` that any image carries.

    A candidate with a digest matches an image that has this digest and any name in the same repository, so that an image
    pulled by tag is found by the digest that the registry gave it.
    """
    pool = tuple(images)
    for candidate in candidates:
        wanted = candidate.settled()
        text = str(wanted)
        for image in pool:
            if text in image.names or _has_digest(wanted, image):
                return image
    return None


def _has_digest(wanted: Reference, image: NamedImage) -> bool:
    if wanted.digest is None or wanted.digest not in image.digests:
        return False
    return any(name.repository == wanted.repository for name in _parsed(image.names or image.history[:1]))


def _parsed(names: Iterable[str]) -> tuple[Reference, ...]:
    """The names that are references; other tools may have left anything in the store."""
    found: list[Reference] = []
    for name in names:
        try:
            found.append(parse_reference(name))
        except BadReference:
            continue
    return tuple(found)
