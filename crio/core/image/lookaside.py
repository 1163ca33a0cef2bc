"""registries.d: where the signatures of a registry are kept beside it.

Source: containers-registries.d(5); specification D.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from crio.core.image.digest import Digest
from crio.core.image.document import Fields, JsonValue
from crio.core.image.errors import BadConfigFile, BadDocument
from crio.core.image.policy import docker_scopes
from crio.core.image.reference import Reference

MAX_SIGNATURES = 128
_KEYS = frozenset({"lookaside", "lookaside-staging", "sigstore", "sigstore-staging", "use-sigstore-attachments"})


@dataclass(frozen=True, slots=True)
class Namespace:
    """What a namespace says; None where it says nothing, so that a wider one can."""

    lookaside: str | None = None
    attachments: bool | None = None


@dataclass(frozen=True, slots=True)
class RegistriesD:
    """The merged files."""

    default: Namespace = field(default_factory=Namespace)
    namespaces: Mapping[str, Namespace] = field(default_factory=dict)

    def lookaside(self, reference: Reference) -> str | None:
        """The base URL for signatures of ``reference``, or None when nothing says one."""
        found = (space.lookaside for space in self._spaces(reference))
        return next((url for url in found if url is not None), None)

    def attachments(self, reference: Reference) -> bool:
        """Whether signatures of ``reference`` are also in the registry itself."""
        found = (space.attachments for space in self._spaces(reference))
        return next((flag for flag in found if flag is not None), False)

    def _spaces(self, reference: Reference) -> Iterable[Namespace]:
        for scope in docker_scopes(reference):
            if scope in self.namespaces:
                yield self.namespaces[scope]
        yield self.default


def merge_registries_d(files: Iterable[tuple[str, Mapping[str, JsonValue]]]) -> RegistriesD:
    """Merges parsed files.

    :raises BadConfigFile: unknown keys, wrong types, or a namespace that two files define
    """
    default: Namespace | None = None
    default_source = ""
    namespaces: dict[str, Namespace] = {}
    sources: dict[str, str] = {}
    for name, table in files:
        try:
            fields = Fields("", table)
            fields.only(frozenset({"default-docker", "docker"}))
            if fields.has("default-docker"):
                if default is not None:
                    raise BadDocument(f"default-docker: is also in {default_source}")
                default, default_source = _namespace(fields.child("default-docker")), name
            docker = fields.child("docker")
            for scope in docker.values:
                if scope in namespaces:
                    raise BadDocument(f"docker.{scope}: is also in {sources[scope]}")
                namespaces[scope], sources[scope] = _namespace(docker.child(scope)), name
        except BadDocument as error:
            raise BadConfigFile(f"{name}: {error.message}") from error
    return RegistriesD(default or Namespace(), namespaces)


def _namespace(fields: Fields) -> Namespace:
    fields.only(_KEYS)
    url = fields.text("lookaside") or fields.text("sigstore") or None
    flag = fields.flag("use-sigstore-attachments") if fields.has("use-sigstore-attachments") else None
    return Namespace(url, flag)


def signature_url(base: str, reference: Reference, digest: Digest, number: int) -> str:
    """Where signature ``number`` (from 1) of a manifest is."""
    return f"{base.rstrip('/')}/{reference.path}@{digest.algorithm}={digest.hex}/signature-{number}"


def attachment_tag(digest: Digest) -> str:
    """The tag under which sigstore signatures of a manifest are in the same repository."""
    return f"{digest.algorithm}-{digest.hex}.sig"
