"""The names of TLS 1.2 cipher suites: IANA's, which the configuration uses, and OpenSSL's, which Python's TLS uses."""

from __future__ import annotations

from typing import Final

_SPELLINGS: Final = (
    ("AES_", "AES"),
    ("3DES_EDE_CBC", "DES_CBC3"),
    ("_CBC_SHA", "_SHA"),
    ("RC4_128", "RC4"),
    ("POLY1305_SHA256", "POLY1305"),
)


def openssl_cipher(iana_name: str) -> str:
    """The OpenSSL name of a suite such as ``TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256``. Source: openssl-ciphers(1)."""
    exchange, _, cipher = iana_name.removeprefix("TLS_").partition("_WITH_")
    for iana, openssl in _SPELLINGS:
        cipher = cipher.replace(iana, openssl)
    parts = (cipher,) if exchange == "RSA" else (exchange, cipher)
    return "-".join(parts).replace("_", "-")
