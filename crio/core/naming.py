"""Names, ids and prefixes.

A pod's and a container's name is made of what the client gave, so the same request has the same name: names are what makes
retries of one request one operation. Ids are 64 hexadecimal digits; clients may shorten them to any unique prefix.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from crio.core.config import Metadata
from crio.core.errors import AmbiguousId, InvalidArgument, NotFound

ID_LENGTH = 64
_PART = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*)")
_MAX_PART = 253


def check_part(field: str, value: str) -> str:
    """A part of a name: letters, digits, ``.``, ``_`` and ``-``; raises InvalidArgument naming the field and the value."""
    if len(value) > _MAX_PART or _PART.fullmatch(value) is None:
        raise InvalidArgument(
            f"{field} {value!r} is not a name: expected letters, digits, '.', '_' and '-', "
            f"starting with a letter or digit, at most {_MAX_PART}"
        )
    return value


def sandbox_name(metadata: Metadata) -> str:
    """``k8s_<pod>_<namespace>_<uid>_<attempt>``; raises InvalidArgument for an empty or unusable part."""
    name = check_part("metadata.name", metadata.name)
    namespace = check_part("metadata.namespace", metadata.namespace)
    uid = check_part("metadata.uid", metadata.uid)
    return f"k8s_{name}_{namespace}_{uid}_{metadata.attempt}"


def infra_name(metadata: Metadata) -> str:
    """The store's name of a sandbox's own container: ``k8s_POD_<pod>_<namespace>_<uid>_<attempt>``."""
    return f"k8s_POD_{metadata.name}_{metadata.namespace}_{metadata.uid}_{metadata.attempt}"


def container_name(container: Metadata, pod: Metadata) -> str:
    """``k8s_<container>_<pod>_<namespace>_<uid>_<attempt of the container>``."""
    name = check_part("config.metadata.name", container.name)
    return f"k8s_{name}_{pod.name}_{pod.namespace}_{pod.uid}_{container.attempt}"


def is_layer_name(name: str) -> bool:
    """Whether the store's layer of that name was made for one of our containers or sandboxes."""
    return name.startswith("k8s_") and name.endswith("-layer")


def find_id(ids: Iterable[str], wanted: str, kind: str) -> str:
    """The only id that starts with ``wanted``; raises NotFound for none, AmbiguousId for several, InvalidArgument for an empty one."""
    if not wanted:
        raise InvalidArgument(f"{kind} id is empty: expected an id or a unique prefix of one")
    matches = [candidate for candidate in ids if candidate.startswith(wanted)]
    if not matches:
        raise NotFound(f"{kind} {wanted!r} does not exist")
    if len(matches) > 1:
        raise AmbiguousId(f"{kind} id {wanted!r} is ambiguous: {len(matches)} ids start with it")
    return matches[0]
