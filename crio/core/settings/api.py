"""``[crio.api]``: the CRI socket and the streaming server. Source: crio-interfaces §2.3."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from crio.core.settings.rules import CIPHER_SUITE, DURATION_OR_EMPTY, PORT_OR_SERVICE
from crio.core.settings.schema import Flag, setting
from crio.core.settings.units import parse_duration

GRPC_MESSAGE_SIZE_BYTES: Final = 80 * 1024 * 1024
STREAM_IDLE_TIMEOUT: Final = timedelta(hours=4)


class TlsVersion(enum.StrEnum):
    """The lowest TLS version that a server accepts."""

    TLS12 = "VersionTLS12"
    TLS13 = "VersionTLS13"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """Where the daemon listens, and how it protects what it serves."""

    listen: str = setting(
        "/var/run/crio/crio.sock",
        "Unix socket that serves the CRI and the status API.",
        Flag("listen", "CONTAINER_LISTEN"),
    )
    stream_address: str = setting(
        "127.0.0.1",
        "IP address of the streaming server; anything that is not an IP address means every address.",
        Flag("stream-address", "CONTAINER_STREAM_ADDRESS"),
    )
    stream_port: str = setting(
        "0",
        "Port or service name of the streaming server; 0 lets the kernel choose.",
        Flag("stream-port", "CONTAINER_STREAM_PORT"),
        rule=PORT_OR_SERVICE,
    )
    stream_enable_tls: bool = setting(
        False, "Serve exec, attach and port-forward over TLS.", Flag("stream-enable-tls", "CONTAINER_ENABLE_TLS")
    )
    stream_idle_timeout: str = setting(
        "",
        "Time after which a silent streaming connection is closed, such as 30m; empty means 4h.",
        Flag("stream-idle-timeout", "STREAM_IDLE_TIMEOUT"),
        rule=DURATION_OR_EMPTY,
    )
    stream_tls_cert: str = setting(
        "", "PEM file with the certificate of the streaming server.", Flag("stream-tls-cert", "CONTAINER_TLS_CERT")
    )
    stream_tls_key: str = setting("", "PEM file with the private key of the streaming server.", Flag("stream-tls-key", "CONTAINER_TLS_KEY"))
    stream_tls_ca: str = setting(
        "",
        "PEM file of the authority that client certificates must come from; empty asks for none.",
        Flag("stream-tls-ca", "CONTAINER_TLS_CA"),
    )
    tls_min_version: TlsVersion = setting(
        TlsVersion.TLS12,
        "Lowest TLS version of the streaming and metrics servers.",
        Flag("tls-min-version", "CONTAINER_TLS_MIN_VERSION"),
    )
    tls_cipher_suites: tuple[str, ...] = setting(
        (),
        "TLS 1.2 cipher suites to offer, by IANA name; empty leaves the choice to the TLS library.",
        Flag("tls-cipher-suites", "CONTAINER_TLS_CIPHER_SUITES"),
        rule=CIPHER_SUITE,
    )
    grpc_max_send_msg_size: int = setting(
        GRPC_MESSAGE_SIZE_BYTES,
        "Largest answer in bytes; 0 or less means the default.",
        Flag("grpc-max-send-msg-size", "CONTAINER_GRPC_MAX_SEND_MSG_SIZE"),
    )
    grpc_max_recv_msg_size: int = setting(
        GRPC_MESSAGE_SIZE_BYTES,
        "Largest request in bytes; 0 or less means the default.",
        Flag("grpc-max-recv-msg-size", "CONTAINER_GRPC_MAX_RECV_MSG_SIZE"),
    )

    @property
    def effective_stream_idle_timeout(self) -> timedelta:
        """The idle timeout with the empty string resolved."""
        return parse_duration(self.stream_idle_timeout) if self.stream_idle_timeout else STREAM_IDLE_TIMEOUT
