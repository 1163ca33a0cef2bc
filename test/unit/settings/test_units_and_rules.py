"""Durations, sizes, and the rules for single values."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crio.core.settings import rules
from crio.core.settings.schema import Rule
from crio.core.settings.units import format_duration, parse_duration, parse_size_bytes


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("0", timedelta(0)),
        ("0s", timedelta(0)),
        ("-0", timedelta(0)),
        ("1h30m", timedelta(minutes=90)),
        ("250ms", timedelta(milliseconds=250)),
        ("1.5s", timedelta(seconds=1.5)),
        (".5m", timedelta(seconds=30)),
        ("2.s", timedelta(seconds=2)),
        ("-3s", timedelta(seconds=-3)),
        ("+3s", timedelta(seconds=3)),
        ("7us", timedelta(microseconds=7)),
        ("7µs", timedelta(microseconds=7)),
        ("7μs", timedelta(microseconds=7)),
        ("2000ns", timedelta(microseconds=2)),
    ],
)
def test_a_duration_is_read(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "5", "s", "1 s", "1d", "1h-3m", "0x1s", "1e3s", "99999999999999h", "١s."])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(0), "0s"),
        (timedelta(hours=4), "4h0m0s"),
        (timedelta(seconds=90), "1m30s"),
        (timedelta(seconds=1.5), "1.5s"),
        (timedelta(milliseconds=250), "250ms"),
        (timedelta(microseconds=1500), "1.5ms"),
        (timedelta(microseconds=7), "7µs"),
        (timedelta(seconds=-61), "-1m1s"),
    ],
)
def test_a_duration_is_written_as_go_writes_it(duration: timedelta, text: str) -> None:
    assert format_duration(duration) == text


@given(st.timedeltas(min_value=timedelta(days=-3000), max_value=timedelta(days=3000)))
def test_a_written_duration_reads_back(duration: timedelta) -> None:
    assert abs(parse_duration(format_duration(duration)) - duration) <= timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("500KiB", 512000),
        ("12MiB", 12582912),
        ("12 MiB", 12582912),
        ("1g", 2**30),
        ("7", 7),
        ("7b", 7),
        ("1.5k", 1536),
        ("2TB", 2**41),
    ],
)
def test_a_size_is_read(text: str, size_bytes: int) -> None:
    assert parse_size_bytes(text) == size_bytes


@pytest.mark.parametrize("text", ["", "MiB", "-1", "1x", "1ib", "1 i", "12MiBs"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size_bytes(text)


GOOD: list[tuple[Rule, str]] = [
    (rules.ABSOLUTE_PATH, "/x /y"),
    (rules.ABSOLUTE_PATH_OR_EMPTY, "|/x"),
    (rules.CAPABILITY, "|CHOWN CAP_NET_RAW cap_kill sys_admin"),
    (rules.CIPHER_SUITE, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
    (rules.CPU_LIST, "|0 0-3 0-3,8,10-11"),
    (rules.DEVICE, "/dev/fuse /dev/a:/dev/b /dev/a:/dev/b:rwm /dev/a:r /tmp/x:/dev/x"),
    (rules.DURATION_OR_EMPTY, "|30m 0"),
    (
        rules.FULL_IMAGE_REFERENCE,
        "registry.k8s.io/pause:3.10.1 localhost/a localhost:5000/a/b:t quay.io/a__b/c-d@sha256:" + "0" * 64,
    ),
    (rules.ID_MAPPINGS, "|0:100:10 0:100:10,10:0:1"),
    (rules.PORT_OR_SERVICE, "0 65535 http https-alt"),
    (rules.REGEXP, "|a.*b"),
    (rules.SYSCTL, "|net.ipv4.ip_forward=1 a="),
    (rules.TIME_ZONE, "|Local UTC Europe/Prague Etc/GMT+1 America/Argentina/Buenos_Aires"),
    (rules.ULIMIT, "nofile=1024:2048 nproc=5 core=-1:-1 core=0:-1"),
]
BAD: list[tuple[Rule, str]] = [
    (rules.ABSOLUTE_PATH, "|x ./x ~/x"),
    (rules.ABSOLUTE_PATH_OR_EMPTY, "x"),
    (rules.CAPABILITY, "CHOWM CAP_CAP_CHOWN ALL"),
    (rules.CIPHER_SUITE, "|TLS_AES_128_GCM_SHA256 AES"),
    (rules.CPU_LIST, "a 3-1 1- ,1 1,, 1--2"),
    (rules.DEVICE, "|fuse /tmp/x /dev/a:b /dev/a:/tmp/b /dev/a:/dev/b:x /dev/a:rr /dev/a:/dev/b:rwmr"),
    (rules.DURATION_OR_EMPTY, "5 soon"),
    (
        rules.FULL_IMAGE_REFERENCE,
        "|pause library/pause pause:3.10 registry.k8s.io registry.k8s.io/ registry.k8s.io/Pause a.b/c:t@sha256:12 a.b/c:",
    ),
    (rules.ID_MAPPINGS, "0:1 a:b:c 0:1:2, 0:1:2;3:4:5"),
    (rules.PORT_OR_SERVICE, "|65536 -1 ht!tp -x"),
    (rules.REGEXP, "( [ *"),
    (rules.SYSCTL, "a =1 =1"),
    (rules.TIME_ZONE, "../etc/passwd /etc/passwd a//b"),
    (rules.ULIMIT, "|nofile nofile= files=1:2 nofile=2:1 nofile=-1:2 nofile=a:b nofile=1:2:3"),
]


def _cases(table: list[tuple[Rule, str]]) -> list[tuple[Rule, str]]:
    """One case per word; a bar at the start adds the empty text."""
    return [(rule, word) for rule, words in table for word in ([""] if words[:1] == "|" else []) + words.lstrip("|").split()]


@pytest.mark.parametrize(("rule", "text"), _cases(GOOD))
def test_a_rule_accepts(rule: Rule, text: str) -> None:
    assert rule.offenders(text) == ()


@pytest.mark.parametrize(("rule", "text"), [*_cases(BAD), (rules.SYSCTL, "a = 1"), (rules.SYSCTL, "a= 1")])
def test_a_rule_refuses(rule: Rule, text: str) -> None:
    assert rule.offenders(text) == (text,)


@pytest.mark.parametrize(
    ("rule", "number", "is_good"),
    [
        (rules.NOT_NEGATIVE, 0, True),
        (rules.NOT_NEGATIVE, -1, False),
        (rules.PORT, 65535, True),
        (rules.PORT, 65536, False),
        (rules.PER_MILLION, 1_000_000, True),
        (rules.PER_MILLION, 1_000_001, False),
    ],
)
def test_a_range_has_bounds(rule: Rule, number: int, is_good: bool) -> None:
    assert (rule.offenders(number) == ()) is is_good
