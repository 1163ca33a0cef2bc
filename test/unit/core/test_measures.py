"""What metrics count by: ranges of sizes, quantiles of the last calls, names of cipher suites."""

from __future__ import annotations

import math
import ssl

import pytest

from crio.core.ciphers import openssl_cipher
from crio.core.measures import WINDOW_CALLS, WINDOW_S, Window, size_range
from crio.core.settings.known import CIPHER_SUITES

SIZES = {
    0: ">0 B",
    1: ">0 B",
    1024: ">0 B",
    1025: ">1 KiB",
    (1 << 20) + 1: ">1 MiB",
    10 << 20: ">1 MiB",
    (10 << 20) + 1: ">10 MiB",
    (50 << 20) + 1: ">50 MiB",
    (100 << 20) + 1: ">100 MiB",
    (250 << 20): ">200 MiB",
    (500 << 20): ">400 MiB",
    (500 << 20) + 1: ">500 MiB",
    (1 << 30) + 1: ">1 GiB",
    (10 << 30) + 1: ">10 GiB",
    1 << 60: ">10 GiB",
}


@pytest.mark.parametrize("size_bytes", SIZES)
def test_the_range_of_a_size(size_bytes: int) -> None:
    assert size_range(size_bytes) == SIZES[size_bytes]


def test_quantiles_are_those_of_the_calls() -> None:
    window = Window()
    for number in range(1, 101):
        window.add(1000.0, number / 100)
    assert window.quantiles(1000.0) == (0.51, 0.91, 1.0)
    assert (window.count, round(window.sum_s, 6)) == (100, 50.5)


def test_one_call_is_every_quantile() -> None:
    window = Window()
    window.add(5.0, 0.25)
    assert window.quantiles(5.0) == (0.25, 0.25, 0.25)


def test_old_calls_count_in_the_sum_alone() -> None:
    window = Window()
    window.add(0.0, 9.0)
    assert window.quantiles(WINDOW_S) == (9.0, 9.0, 9.0)
    assert all(math.isnan(value) for value in window.quantiles(WINDOW_S + 1))
    window.add(WINDOW_S + 1, 1.0)
    assert window.quantiles(WINDOW_S + 1) == (1.0, 1.0, 1.0)
    assert (window.count, window.sum_s) == (2, 10.0)


def test_the_newest_calls_push_out_the_oldest() -> None:
    window = Window()
    for _ in range(WINDOW_CALLS):
        window.add(0.0, 9.0)
    for _ in range(WINDOW_CALLS - 1):
        window.add(1.0, 1.0)
    assert window.quantiles(1.0) == (1.0, 1.0, 1.0)
    assert window.count == 2 * WINDOW_CALLS - 1


# What OpenSSL has not any more; a list may name them, beside others.
GONE = ("RC4", "DES-CBC3")


def test_openssl_knows_every_cipher_suite_that_may_be_configured() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for iana_name in CIPHER_SUITES:
        name = openssl_cipher(iana_name)
        if not any(word in name for word in GONE):
            context.set_ciphers(name)
            assert name in [cipher["name"] for cipher in context.get_ciphers()]


CIPHERS = {
    "TLS_RSA_WITH_RC4_128_SHA": "RC4-SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA": "ECDHE-RSA-DES-CBC3-SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256": "AES128-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305": "ECDHE-RSA-CHACHA20-POLY1305",
}


@pytest.mark.parametrize("iana_name", CIPHERS)
def test_a_cipher_suite_has_another_name_in_openssl(iana_name: str) -> None:
    assert openssl_cipher(iana_name) == CIPHERS[iana_name]
