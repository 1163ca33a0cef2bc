"""registries.conf: merging, matching, rewriting, short names."""

from __future__ import annotations

import tomllib

import pytest

from crio.core.image.errors import AmbiguousShortName, BadConfigFile, BadReference, BlockedRegistry
from crio.core.image.reference import parse_reference
from crio.core.image.registries import RegistriesConf, ShortNameMode, endpoints, merge_registries, prefix_length
from crio.core.image.shortnames import local_candidates, pull_candidates

DIGEST = "sha256:" + "ab" * 32


def conf(*texts: str) -> RegistriesConf:
    """The configuration of these files, the first the most general."""
    return merge_registries((f"{number}.conf", tomllib.loads(text)) for number, text in enumerate(texts))


PREFIXES = {
    "the whole host": ("example.com", "example.com/a:1", 11),
    "a port after the host": ("example.com", "example.com:5000/a", 11),
    "a namespace": ("example.test/foo", "example.test/foo/bar", 16),
    "not a part of a component": ("example.test/foo", "example.test/foobar", None),
    "a tag after the name": ("q.io/a", "q.io/a:1", 6),
    "a digest after the name": ("q.io/a", f"q.io/a@{DIGEST}", 6),
    "another host": ("q.io", "r.io/a", None),
    "a wildcard": ("*.example.com", "a.b.example.com/x", 15),
    "a wildcard with a port": ("*.example.com", "a.example.com:5000/x", 13),
    "a wildcard is not the domain itself": ("*.example.com", "example.com/x", None),
    "a wildcard and another domain": ("*.example.com", "a.example.org/x", None),
    "a wildcard with a path": ("*.example.com/ns", "a.example.com/ns/x", 16),
    "a wildcard with another path": ("*.example.com/ns", "a.example.com/nsx", None),
    "a wildcard with a path and a port": ("*.example.com/ns", "a.example.com:1/ns/x", None),
}


@pytest.mark.parametrize(("prefix", "text", "covered"), PREFIXES.values(), ids=PREFIXES)
def test_a_prefix_matches_at_its_boundaries(prefix: str, text: str, covered: int | None) -> None:
    assert prefix_length(prefix, text) == covered


MATRIX = """
[[registry]]
location = "q.io"
[[registry]]
prefix = "q.io/ns"
location = "other.io/moved/"
insecure = true
[[registry.mirror]]
location = "all.io"
[[registry.mirror]]
location = "digest.io/x"
pull-from-mirror = "digest-only"
insecure = true
[[registry.mirror]]
location = "tag.io"
pull-from-mirror = "tag-only"
[[registry]]
prefix = "*.wild.io"
[[registry.mirror]]
location = "mirror.io"
[[registry]]
location = "digests.io"
mirror-by-digest-only = true
[[registry.mirror]]
location = "m.io"
"""

ENDPOINTS = {
    "nothing matches": ("z.io/a:1", ["z.io/a:1"]),
    "the longest prefix wins": ("q.io/a:1", ["q.io/a:1"]),
    "a tag": ("q.io/ns/a:1", ["all.io/a:1", "tag.io/a:1", "other.io/moved/a:1"]),
    "a digest": (
        f"q.io/ns/a@{DIGEST}",
        [f"all.io/a@{DIGEST}", f"digest.io/x/a@{DIGEST}", f"other.io/moved/a@{DIGEST}"],
    ),
    "tag and digest is a digest": (
        f"q.io/ns/a:1@{DIGEST}",
        [f"all.io/a@{DIGEST}", f"digest.io/x/a@{DIGEST}", f"other.io/moved/a@{DIGEST}"],
    ),
    "a wildcard without location": ("a.wild.io/b:1", ["mirror.io/b:1", "a.wild.io/b:1"]),
    "mirrors for digests only, a tag": ("digests.io/a:1", ["digests.io/a:1"]),
    "mirrors for digests only, a digest": (f"digests.io/a@{DIGEST}", [f"m.io/a@{DIGEST}", f"digests.io/a@{DIGEST}"]),
}


@pytest.mark.parametrize(("name", "places"), ENDPOINTS.values(), ids=ENDPOINTS)
def test_endpoints_come_in_order(name: str, places: list[str]) -> None:
    found = endpoints(conf(MATRIX), parse_reference(name))
    assert [str(endpoint.reference) for endpoint in found] == places
    assert [endpoint.is_mirror for endpoint in found] == [True] * (len(found) - 1) + [False]


def test_insecure_is_per_place() -> None:
    found = endpoints(conf(MATRIX), parse_reference(f"q.io/ns/a@{DIGEST}"))
    assert [endpoint.insecure for endpoint in found] == [False, True, True]


def test_a_rewriting_that_makes_no_name_is_an_error_of_the_file() -> None:
    with pytest.raises(BadConfigFile, match="makes no reference"):
        endpoints(conf('[[registry]]\nprefix = "q.io"\nlocation = "Q_Q"'), parse_reference("q.io/a:1"))


def test_blocked_is_an_error_that_names_the_file() -> None:
    with pytest.raises(BlockedRegistry, match=r"q\.io.*blocked in 0\.conf"):
        endpoints(conf('[[registry]]\nlocation = "q.io"\nblocked = true'), parse_reference("q.io/a"))


def test_a_later_file_replaces_tables_and_keys_and_merges_aliases() -> None:
    merged = conf(
        'unqualified-search-registries = ["a.io"]\nshort-name-mode = "disabled"\ncredential-helpers = ["x"]\n'
        '[aliases]\na = "q.io/a"\nb = "q.io/b"\n[[registry]]\nlocation = "q.io"\nblocked = true',
        'unqualified-search-registries = []\n[aliases]\nb = ""\nnever = ""\nc = "q.io/c"\n[[registry]]\nlocation = "q.io"',
    )
    assert merged.search == ()
    assert merged.short_name_mode is ShortNameMode.DISABLED
    assert merged.credential_helpers == ("x",)
    assert merged.aliases == {"a": "q.io/a", "c": "q.io/c"}
    assert [registry.blocked for registry in merged.registries] == [False]
    assert merged.sources == ("0.conf", "1.conf")


def test_the_first_of_two_tables_in_one_file_is_kept() -> None:
    merged = conf('[[registry]]\nprefix = "q.io"\nlocation = "a.io"\n[[registry]]\nprefix = "q.io"\nlocation = "b.io"')
    assert [registry.location for registry in merged.registries] == ["a.io"]


def test_the_old_format_is_understood() -> None:
    merged = conf(
        '[registries.search]\nregistries = ["a.io/"]\n[registries.insecure]\nregistries = ["b.io"]\n'
        '[registries.block]\nregistries = ["c.io"]'
    )
    assert merged.search == ("a.io",)
    assert {registry.prefix: (registry.insecure, registry.blocked) for registry in merged.registries} == {
        "b.io": (True, False),
        "c.io": (False, True),
    }


BAD = {
    "both formats": '[registries.search]\nregistries = []\n[[registry]]\nlocation = "q.io"',
    "unknown key": "x = 1",
    "wrong mode": 'short-name-mode = "maybe"',
    "neither prefix nor location": "[[registry]]\ninsecure = true",
    "prefix without location": '[[registry]]\nprefix = "q.io"',
    "star in the middle": '[[registry]]\nprefix = "a.*.io"\nlocation = "q.io"',
    "mirror without location": '[[registry]]\nlocation = "q.io"\n[[registry.mirror]]\ninsecure = true',
    "unknown use of a mirror": '[[registry]]\nlocation = "q.io"\n[[registry.mirror]]\nlocation = "m.io"\npull-from-mirror = "x"',
    "two rules for mirrors": '[[registry]]\nlocation = "q.io"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = "m.io"\n'
    'pull-from-mirror = "all"',
    "a scheme": '[[registry]]\nlocation = "http://q.io"',
    "one location with two values": '[[registry]]\nlocation = "q.io"\n[[registry]]\nprefix = "r.io"\nlocation = "q.io"\nblocked = true',
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_a_wrong_file_is_an_error_that_names_it(text: str) -> None:
    with pytest.raises(BadConfigFile, match=r"^0\.conf: "):
        conf(text)


SEARCH = conf('unqualified-search-registries = ["a.io", "b.io"]\n[aliases]\nbusybox = "q.io/own/busybox"')


def _pulled(text: str, mode: ShortNameMode, recorded: dict[str, str] | None = None) -> list[str]:
    return [str(found) for found in pull_candidates(text, SEARCH, recorded or {}, mode)]


def test_short_names_resolve_by_alias_then_by_search() -> None:
    assert _pulled("q.io/x", ShortNameMode.ENFORCING) == ["q.io/x:latest"]
    assert _pulled("busybox:2", ShortNameMode.ENFORCING) == ["q.io/own/busybox:2"]
    assert _pulled("busybox", ShortNameMode.ENFORCING, {"busybox": "r.io/recorded"}) == ["r.io/recorded:latest"]
    assert _pulled("busybox", ShortNameMode.DISABLED) == ["a.io/busybox:latest", "b.io/busybox:latest"]
    assert _pulled(f"x@{DIGEST}", ShortNameMode.PERMISSIVE) == [f"a.io/x@{DIGEST}", f"b.io/x@{DIGEST}"]


def test_an_ambiguous_short_name_is_refused_in_enforcing_mode() -> None:
    with pytest.raises(AmbiguousShortName, match="short name mode is enforcing, but image name x returns ambiguous list"):
        _pulled("x", ShortNameMode.ENFORCING)


def test_a_short_name_that_nothing_resolves_and_a_broken_alias() -> None:
    with pytest.raises(BadReference, match=r"registries\.conf say"):
        pull_candidates("x", RegistriesConf(), {}, ShortNameMode.PERMISSIVE)
    with pytest.raises(BadConfigFile, match="alias 'x'"):
        pull_candidates("x", RegistriesConf(), {"x": "Not A Name"}, ShortNameMode.PERMISSIVE)


def test_local_look_up_tries_alias_localhost_search_and_the_hub() -> None:
    assert [str(found) for found in local_candidates("busybox", SEARCH, {})] == [
        "q.io/own/busybox:latest",
        "localhost/busybox:latest",
        "a.io/busybox:latest",
        "b.io/busybox:latest",
        "docker.io/library/busybox:latest",
    ]
    assert [str(found) for found in local_candidates("x:1", RegistriesConf(), {})] == [
        "localhost/x:1",
        "docker.io/library/x:1",
    ]
    assert [str(found) for found in local_candidates("q.io/x", SEARCH, {})] == ["q.io/x:latest"]
