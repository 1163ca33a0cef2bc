"""Ids, names, times, tokens, keys, sizes, options: the small rules of the format."""

from __future__ import annotations

import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crio.core.errors import InvalidArgument
from crio.core.storage.bigdata import file_name, manifest_key, signature_key
from crio.core.storage.driveroptions import parse_driver_options, size_bytes
from crio.core.storage.findings import Damage, Finding, Kind
from crio.core.storage.ids import digest_hex, id_from_random, is_digest, is_id, is_id_prefix, layer_id, link_from_random
from crio.core.storage.names import history_after, names_minus, names_plus, with_names
from crio.core.storage.overlaydir import OverlayMount, escape, lower_entries, lower_text
from crio.core.storage.records import ContainerRecord, ImageRecord, LayerRecord
from crio.core.storage.signatures import metadata_with, split_signatures
from crio.core.storage.times import ns_from_rfc3339, rfc3339_from_ns
from crio.core.storage.token import TOKEN_BYTES, make_token

HEX = "1" * 64
DIGEST = f"sha256:{HEX}"


def test_a_base_layer_has_the_hex_of_its_diff_id() -> None:
    assert layer_id(None, DIGEST) == HEX


def test_a_child_hashes_parent_plus_and_hex() -> None:
    assert layer_id("2" * 64, DIGEST) == hashlib.sha256(f"{'2' * 64}+{HEX}".encode()).hexdigest()


def test_a_bad_digest_names_its_field() -> None:
    with pytest.raises(InvalidArgument, match="diff_id is 'sha256:x', expected algorithm:hex"):
        layer_id(None, "sha256:x")
    assert digest_hex(DIGEST, "x") == HEX


IDS = {"64 digits": (HEX, True, True), "3 digits": ("abc", False, True), "2 digits": ("ab", False, False),
       "upper case": ("A" * 64, False, False), "65 digits": ("1" * 65, False, False)}  # fmt: skip


@pytest.mark.parametrize("sentence", IDS)
def test_ids_and_prefixes(sentence: str) -> None:
    text, whole, prefix = IDS[sentence]
    assert (is_id(text), is_id_prefix(text)) == (whole, prefix)


def test_ids_that_look_like_numbers_are_drawn_again() -> None:
    assert id_from_random(bytes.fromhex("123456789012" + "ab" * 26)) is None
    assert id_from_random(bytes.fromhex("12345678901a" + "ab" * 26)) == "12345678901a" + "ab" * 26


def test_links_are_26_characters_of_base32() -> None:
    assert len(link_from_random(bytes(range(16)))) == 26
    assert set(link_from_random(b"\xff" * 16)) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")


def test_digests_have_an_algorithm() -> None:
    assert is_digest(DIGEST)
    assert not is_digest(HEX)


TIMES = {
    "the epoch": (0, "1970-01-01T00:00:00Z"),
    "nanoseconds": (1_700_000_000_123_456_789, "2023-11-14T22:13:20.123456789Z"),
    "trailing zeros are dropped": (1_700_000_000_500_000_000, "2023-11-14T22:13:20.5Z"),
}


@pytest.mark.parametrize("sentence", TIMES)
def test_times(sentence: str) -> None:
    time_ns, text = TIMES[sentence]
    assert rfc3339_from_ns(time_ns) == text
    assert ns_from_rfc3339(text) == time_ns


@given(st.integers(min_value=0, max_value=2**62))
def test_times_survive(time_ns: int) -> None:
    assert ns_from_rfc3339(rfc3339_from_ns(time_ns)) == time_ns


ODD_TIMES = {
    "the unset time": ("0001-01-01T00:00:00Z", 0),
    "nothing": ("", 0),
    "no time": ("yesterday", 0),
    "an impossible day": ("2026-02-31T00:00:00Z", 0),
    "another zone": ("1970-01-01T02:00:00+02:00", 0),
    "more than nine digits": ("1970-01-01T00:00:00.1234567891Z", 123456789),
}


@pytest.mark.parametrize("sentence", ODD_TIMES)
def test_odd_times(sentence: str) -> None:
    text, expected = ODD_TIMES[sentence]
    assert ns_from_rfc3339(text) == expected


def test_records_know_their_time() -> None:
    text = "1970-01-01T00:00:01Z"
    assert LayerRecord("a", text).created_at_ns == ImageRecord("a", text).created_at_ns == 10**9
    assert ContainerRecord("a", text).created_at_ns == 10**9


def test_a_token_has_time_counter_pid_and_randomness() -> None:
    token = make_token(5, 6, 7, b"r" * 44)
    assert len(token) == TOKEN_BYTES
    assert struct.unpack("<QQI", token[:20]) == (5, 6, 7)


KEYS = {
    "plain": ("manifest", "manifest"),
    "with a dot": ("buildah.json", "buildah.json"),
    "a digest": (DIGEST, "=c2hhMjU2OjEx"),
    "a manifest of a digest": (manifest_key(DIGEST), "=bWFuaWZlc3Qtc2hhMjU2"),
    "signatures of a manifest": (signature_key(HEX), "=c2lnbmF0dXJlLTEx"),
    "upper case": ("Ab", "=QWI="),
}


@pytest.mark.parametrize("sentence", KEYS)
def test_big_data_file_names(sentence: str) -> None:
    key, beginning = KEYS[sentence]
    assert file_name(key).startswith(beginning)


@pytest.mark.parametrize("key", ["", "??>???>", "x" * 300 + ":", ".", ".."][:3])
def test_big_data_keys_without_file_name(key: str) -> None:
    with pytest.raises(InvalidArgument, match="big data key"):
        file_name(key)


def test_dots_are_not_file_names() -> None:
    assert file_name("..") == "=Li4="


HISTORIES = {
    "the last name ends up first": ((), ("a", "b"), ("b", "a")),
    "an old name moves to the front": (("a", "b"), ("b",), ("b", "a")),
    "untagging leaves it alone": (("a",), (), ("a",)),
}


@pytest.mark.parametrize("sentence", HISTORIES)
def test_histories(sentence: str) -> None:
    history, names, expected = HISTORIES[sentence]
    assert history_after(history, names) == expected


def test_a_name_is_taken_from_its_owner() -> None:
    images = (ImageRecord("1", names=("a", "b")), ImageRecord("2", names=("c",)), ImageRecord("3", names=("d",)))
    after = with_names(images, "2", ["b", "c", "b"])
    assert [image.names for image in after] == [("a",), ("b", "c"), ("d",)]
    assert after[1].names_history == ("c", "b")
    assert after[2] is images[2]


def test_names_come_and_go() -> None:
    image = ImageRecord("1", names=("a", "b"))
    assert names_plus(image, ["c", "a"]) == ("c", "a", "b")
    assert names_minus(image, ["a", "x"]) == ("b",)


def test_lower_chains() -> None:
    assert lower_text("A", "") == "l/A"
    assert lower_text("B", "l/A") == "l/B:l/A"
    assert lower_entries("l/B:l/A\n") == ("l/B", "l/A")
    assert lower_entries("") == ()


def test_mount_data() -> None:
    mount = OverlayMount(("/a:b", "/c"), "/u", "/w", ("volatile",), "sys:obj,c1")
    assert mount.data() == 'lowerdir=/a\\:b:/c,upperdir=/u,workdir=/w,volatile,context="sys:obj,c1"'
    assert mount.data(["0", "1"]).startswith("lowerdir=0:1,")
    assert OverlayMount(("/a", "/b")).data() == "lowerdir=/a:/b"
    assert escape("a,b\\") == "a\\,b\\\\"


SIZES = {"a number": ("4096", 4096), "gigabytes": ("10G", 10 * 2**30), "with unit": ("512MiB", 2**29), "kb": ("1 kb", 1024)}


@pytest.mark.parametrize("sentence", SIZES)
def test_sizes(sentence: str) -> None:
    text, expected = SIZES[sentence]
    assert size_bytes(text, "size") == expected


@pytest.mark.parametrize("text", ["", "G", "-1", "1.5G", "10 bananas"])
def test_bad_sizes(text: str) -> None:
    with pytest.raises(InvalidArgument, match="size is"):
        size_bytes(text, "size")


def test_driver_options() -> None:
    options = parse_driver_options(
        ["overlay.mountopt=nodev,metacopy=on", "size=1G", "overlay.size=2G", "overlay.imagestore=/ro", "vfs.sync=none",
         "overlay.skip_mount_home=true", "disable-volatile=1", "overlay.sync=filesystem", "inodes=1k"], "overlay",
    )  # fmt: skip
    assert options.mount_options == ("nodev", "metacopy=on")
    assert (options.size_bytes, options.inodes, options.image_stores) == (2 * 2**30, 1024, ("/ro",))
    assert (options.skip_mount_home, options.disable_volatile, options.sync_layers) == (True, True, True)


BAD_OPTIONS = {
    "without a value": ("overlay.size", "expected key=value"),
    "unknown": ("overlay.sise=1G", "'sise' is not known"),
    "a mount program": ("overlay.mount_program=/usr/bin/fuse-overlayfs", "mounts overlay itself"),
    "a forced mask": ("overlay.force_mask=shared", "ordinary users"),
    "composefs": ("overlay.use_composefs=true", "composefs"),
    "neither true nor false": ("overlay.skip_mount_home=perhaps", "expected true or false"),
    "another sync": ("overlay.sync=always", "expected none or filesystem"),
}


@pytest.mark.parametrize("sentence", BAD_OPTIONS)
def test_bad_driver_options(sentence: str) -> None:
    option, words = BAD_OPTIONS[sentence]
    with pytest.raises(InvalidArgument, match=words):
        parse_driver_options([option], "overlay")


def test_composefs_may_be_switched_off() -> None:
    assert parse_driver_options(["overlay.use_composefs=false"], "overlay").size_bytes == 0


def test_signature_lengths() -> None:
    metadata = metadata_with("", DIGEST, {DIGEST: (b"aa", b"b"), "sha256:" + "2" * 64: (b"c",)})
    assert '"signature-sizes":[2,1]' in metadata
    assert split_signatures(metadata, DIGEST, b"aab") == (b"aa", b"b")
    assert metadata_with(metadata, "other", {}) == metadata
    assert metadata_with("", DIGEST, {}) == "{}"


ODD_METADATA = {
    "lengths that do not add up": f'{{"signatures-sizes":{{"{DIGEST}":[1]}}}}',
    "a negative length": f'{{"signatures-sizes":{{"{DIGEST}":[4,-1]}}}}',
    "a length that is a word": f'{{"signatures-sizes":{{"{DIGEST}":["x"]}}}}',
    "no lengths": "{}",
    "an array": "[]",
    "no JSON": "{",
}


@pytest.mark.parametrize("sentence", ODD_METADATA)
def test_odd_metadata_gives_no_signatures(sentence: str) -> None:
    assert split_signatures(ODD_METADATA[sentence], DIGEST, b"aab") == ()


def test_metadata_that_is_not_ours_is_replaced() -> None:
    assert metadata_with('{"signatures-sizes":3}', DIGEST, {DIGEST: (b"a",)}).count(DIGEST) == 1


def test_a_finding_is_a_sentence() -> None:
    finding = Finding(Kind.LAYER, "abc", Damage.LAYER_DIGEST, "x, expected y")
    assert finding.sentence() == "layer abc: layer digest differs: x, expected y"
