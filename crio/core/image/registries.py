"""registries.conf: from parsed TOML files to the endpoints at which an image is tried.

Files are merged in order: a ``[[registry]]`` with the prefix of an earlier file replaces it as a whole, other keys replace
when they are there (an empty list resets), aliases merge name by name. The longest matching prefix decides; its mirrors
come first, in file order, as far as they are meant for this kind of reference, and the location itself comes last.

Source: containers-registries.conf(5); specification D.1 and D.2.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from crio.core.image.document import Fields, JsonValue
from crio.core.image.errors import BadConfigFile, BadDocument, BadReference, BlockedRegistry
from crio.core.image.reference import Reference, parse_reference

AUTH_FILES_HELPER = "containers-auth.json"

_TOP_KEYS = frozenset(
    {
        "unqualified-search-registries",
        "short-name-mode",
        "credential-helpers",
        "additional-layer-store-auth-helper",
        "aliases",
        "registry",
        "registries",
    }
)
E = TypeVar("E", bound=enum.Enum)
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")


class ShortNameMode(enum.Enum):
    """What happens when a short name has several candidates."""

    ENFORCING = "enforcing"
    PERMISSIVE = "permissive"
    DISABLED = "disabled"


class MirrorUse(enum.Enum):
    """For which references a mirror is asked."""

    ALL = "all"
    DIGEST_ONLY = "digest-only"
    TAG_ONLY = "tag-only"


@dataclass(frozen=True, slots=True)
class Mirror:
    """Another place that has the same content."""

    location: str
    insecure: bool = False
    use: MirrorUse = MirrorUse.ALL


@dataclass(frozen=True, slots=True)
class Registry:
    """One ``[[registry]]`` table; ``location`` is empty when a wildcard prefix leaves names as they are."""

    prefix: str
    location: str
    insecure: bool = False
    blocked: bool = False
    mirrors: tuple[Mirror, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class RegistriesConf:
    """The merged configuration."""

    registries: tuple[Registry, ...] = ()
    search: tuple[str, ...] = ()
    short_name_mode: ShortNameMode = ShortNameMode.PERMISSIVE
    credential_helpers: tuple[str, ...] = (AUTH_FILES_HELPER,)
    aliases: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One place to try: the rewritten reference, and whether TLS may be left out."""

    reference: Reference
    insecure: bool
    is_mirror: bool


@dataclass(slots=True)
class _Merge:
    registries: dict[str, Registry] = field(default_factory=dict)
    search: tuple[str, ...] = ()
    mode: ShortNameMode = ShortNameMode.PERMISSIVE
    helpers: tuple[str, ...] = (AUTH_FILES_HELPER,)
    aliases: dict[str, str] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)


def merge_registries(files: Iterable[tuple[str, Mapping[str, JsonValue]]]) -> RegistriesConf:
    """Merges parsed files, the most general first.

    :param files: the name of each file and its parsed TOML
    :raises BadConfigFile: names the file, the key and what was expected
    """
    merge = _Merge()
    for name, table in files:
        try:
            _merge_file(merge, name, Fields("", table))
        except BadDocument as error:
            raise BadConfigFile(f"{name}: {error.message}") from error
    registries = tuple(merge.registries.values())
    _check_locations(registries)
    return RegistriesConf(registries, merge.search, merge.mode, merge.helpers, dict(merge.aliases), tuple(merge.sources))


def _merge_file(merge: _Merge, name: str, fields: Fields) -> None:
    fields.only(_TOP_KEYS)
    merge.sources.append(name)
    found: dict[str, Registry] = {}
    if fields.has("registries"):
        _merge_version_one(merge, found, name, fields)
    for table in fields.children("registry"):
        registry = _parse_registry(table, name)
        found.setdefault(registry.prefix, registry)
    merge.registries.update(found)
    if fields.has("unqualified-search-registries"):
        merge.search = tuple(_plain(host, fields.path) for host in fields.texts("unqualified-search-registries"))
    if fields.has("short-name-mode"):
        merge.mode = _enum(fields, "short-name-mode", ShortNameMode)
    if fields.has("credential-helpers"):
        merge.helpers = fields.texts("credential-helpers")
    for alias, target in fields.text_map("aliases").items():
        # An empty target takes back the alias of a file that was read before.
        if target:
            merge.aliases[alias] = target
        else:
            merge.aliases.pop(alias, None)


def _merge_version_one(merge: _Merge, found: dict[str, Registry], name: str, fields: Fields) -> None:
    """The format before ``[[registry]]``: three lists of hosts."""
    if fields.has("registry") or fields.has("unqualified-search-registries"):
        raise BadDocument("registries: the old [registries.…] tables cannot be mixed with the new keys")
    old = fields.child("registries")
    old.only(frozenset({"search", "insecure", "block"}))
    merge.search = tuple(_plain(host, "registries.search") for host in old.child("search").texts("registries"))
    insecure = {_plain(host, "registries.insecure") for host in old.child("insecure").texts("registries")}
    blocked = {_plain(host, "registries.block") for host in old.child("block").texts("registries")}
    for host in sorted(insecure | blocked):
        found[host] = Registry(host, host, host in insecure, host in blocked, (), name)


def _parse_registry(table: Fields, source: str) -> Registry:
    location = _plain(table.text("location"), f"{table.path}.location")
    prefix = _plain(table.text("prefix"), f"{table.path}.prefix") or location
    if not prefix:
        raise table.wrong("location", "a host, or a prefix beginning with *.")
    if not location and not prefix.startswith("*."):
        raise table.wrong("location", f"a host, since only a wildcard can do without (prefix {prefix!r})")
    if "*" in prefix.removeprefix("*."):
        raise table.wrong("prefix", "a * only as the first label")
    by_digest = table.flag("mirror-by-digest-only")
    mirrors = tuple(_parse_mirror(mirror, by_digest) for mirror in table.children("mirror"))
    return Registry(prefix, location, table.flag("insecure"), table.flag("blocked"), mirrors, source)


def _parse_mirror(table: Fields, by_digest: bool) -> Mirror:
    location = _plain(table.text("location"), f"{table.path}.location")
    if not location:
        raise table.wrong("location", "a host")
    use = MirrorUse.DIGEST_ONLY if by_digest else MirrorUse.ALL
    if table.has("pull-from-mirror"):
        if by_digest:
            raise table.wrong("pull-from-mirror", "nothing, since mirror-by-digest-only is set")
        use = _enum(table, "pull-from-mirror", MirrorUse)
    return Mirror(location, table.flag("insecure"), use)


def _enum(fields: Fields, key: str, kind: type[E]) -> E:
    try:
        return kind(fields.text(key))
    except ValueError as error:
        raise fields.wrong(key, " or ".join(str(item.value) for item in kind)) from error


def _plain(location: str, path: str) -> str:
    if _SCHEME.match(location):
        raise BadDocument(f"{path}: {location!r} must be a host without a scheme such as https://")
    return location.rstrip("/")


def _check_locations(registries: tuple[Registry, ...]) -> None:
    seen: dict[str, Registry] = {}
    for registry in registries:
        first = seen.setdefault(registry.location, registry) if registry.location else registry
        if (first.insecure, first.blocked) != (registry.insecure, registry.blocked):
            raise BadConfigFile(
                f"{registry.source}: location {registry.location!r} has other insecure or blocked values than in {first.source}"
            )


def find_registry(conf: RegistriesConf, reference: Reference) -> tuple[Registry, int] | None:
    """The table with the longest matching prefix, and how many characters of the reference it covers."""
    text = str(reference)
    best: tuple[Registry, int] | None = None
    for registry in conf.registries:
        covered = prefix_length(registry.prefix, text)
        if covered is not None and (best is None or len(registry.prefix) > len(best[0].prefix)):
            best = (registry, covered)
    return best


def prefix_length(prefix: str, text: str) -> int | None:
    """How many characters of the reference ``text`` the prefix covers, or None when it does not match.

    A plain prefix ends at the end, or before ``:``, ``/`` or ``@``; ``*.domain`` covers any host below the domain.
    """
    if prefix.startswith("*."):
        return _wildcard_length(prefix, text)
    if not text.startswith(prefix):
        return None
    rest = text[len(prefix) :]
    return len(prefix) if not rest or rest[0] in ":/@" else None


def _wildcard_length(prefix: str, text: str) -> int | None:
    domain, slash, path = prefix[1:].partition("/")
    host, colon, _port = text.partition("/")[0].partition(":")
    if not host.endswith(domain) or len(host) == len(domain):
        return None
    if not slash:
        return len(host)
    whole = f"{host}/{path}"
    return None if colon else prefix_length(whole, text)


def endpoints(conf: RegistriesConf, reference: Reference) -> tuple[Endpoint, ...]:
    """The places to try for ``reference``, in order.

    :raises BlockedRegistry: the configuration blocks it
    """
    wanted = reference.settled()
    found = find_registry(conf, wanted)
    if found is None:
        return (Endpoint(wanted, insecure=False, is_mirror=False),)
    registry, covered = found
    if registry.blocked:
        raise BlockedRegistry(f"image {str(wanted)!r}: registry {registry.prefix!r} is blocked in {registry.source}")
    by_digest = wanted.digest is not None
    unwanted = MirrorUse.TAG_ONLY if by_digest else MirrorUse.DIGEST_ONLY
    rest = str(wanted)[covered:]
    places = [
        Endpoint(_rewritten(mirror.location, rest, registry), mirror.insecure, is_mirror=True)
        for mirror in registry.mirrors
        if mirror.use is not unwanted
    ]
    primary = _rewritten(registry.location, rest, registry) if registry.location else wanted
    return (*places, Endpoint(primary, registry.insecure, is_mirror=False))


def _rewritten(location: str, rest: str, registry: Registry) -> Reference:
    try:
        return parse_reference(location + rest)
    except BadReference as error:
        raise BadConfigFile(f"{registry.source}: location {location!r} makes no reference: {error}") from error
