"""Which image a piece of text means, and what an image is called in answers.

The text is an id, an id prefix, or one full reference; expanding short names into full candidates is the caller's business.
Source: the image queries of the CRI as CRI-O answers them.
"""

from __future__ import annotations

from collections.abc import Sequence

from crio.core.storage.ids import is_digest
from crio.core.storage.records import ImageRecord
from crio.core.storage.tables import ImageTable


def split_reference(reference: str) -> tuple[str, str, str]:
    """Return (repository, tag, digest) of a full reference; tag and digest may be empty. A port is not a tag."""
    rest, _, digest = reference.partition("@")
    last = rest.rsplit("/", 1)[-1]
    tag = last.partition(":")[2]
    repository = rest[: len(rest) - len(tag) - 1] if tag else rest
    return repository, tag, digest


def find_image(tables: Sequence[ImageTable], name_or_id: str) -> ImageRecord | None:
    """Return the image that ``name_or_id`` means, own store first, then the additional ones in order.

    An exact name wins, then an id or a unique prefix of at least 3 digits, then ``repo[:tag]@digest``: an image with that
    manifest and any name in the same repository, the tag being ignored.
    """
    for table in tables:
        found = table.by_name.get(name_or_id) or table.find_by_prefix(name_or_id.removeprefix("@"))
        if found is not None:
            return found
    repository, tag, digest = split_reference(name_or_id)
    if not is_digest(digest):
        return None
    bare = f"{repository}@{digest}"
    for table in tables:
        if tag and bare in table.by_name:
            return table.by_name[bare]
        for image in table.by_digest(digest):
            if any(split_reference(name)[0] == repository for name in (*image.names, *image.names_history)):
                return image
    return None


def repo_tags(image: ImageRecord) -> tuple[str, ...]:
    """Return the names of ``image`` that are tags, sorted."""
    return tuple(sorted(name for name in image.names if "@" not in name))


def repo_digests(image: ImageRecord) -> tuple[str, ...]:
    """Return ``repository@digest`` for every repository of its names and every manifest digest, sorted.

    An image that lost all its names keeps the repository of the most recent one of its history.
    """
    found = {name for name in image.names if "@" in name}
    names = image.names or image.names_history[:1]
    for name in names:
        repository = split_reference(name)[0]
        found.update(f"{repository}@{digest}" for digest in image.digests)
    return tuple(sorted(found))
