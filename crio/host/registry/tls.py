"""TLS for one registry: the system's authorities plus what certs.d says about the host.

Source: containers-certs.d(5); specification D.9.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

from crio.core.image.errors import BadConfigFile


def registry_context(host: str, certs_dirs: Sequence[Path], *, insecure: bool) -> ssl.SSLContext:
    """The TLS context for ``host``; reads files, so it belongs in a thread.

    :param host: ``host[:port]`` as in a reference
    :param certs_dirs: directories with one sub-directory per host; only the first that has one for ``host`` is used
    :raises BadConfigFile: half a client pair, or a file that is no certificate
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        # Reading the system's authorities takes some 20 ms of processor time; who verifies nothing does without.
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    for base in certs_dirs:
        folder = base / host
        if folder.is_dir():
            _load_folder(context, folder)
            break
    return context


def _load_folder(context: ssl.SSLContext, folder: Path) -> None:
    for file in sorted(folder.iterdir()):
        try:
            if file.suffix == ".crt":
                context.load_verify_locations(cafile=file)
            elif file.suffix == ".cert":
                context.load_cert_chain(file, _other_half(file, ".key"))
            elif file.suffix == ".key":
                _other_half(file, ".cert")
        except (ssl.SSLError, OSError) as error:
            raise BadConfigFile(f"{file}: cannot be used for TLS: {error}") from error


def _other_half(file: Path, suffix: str) -> Path:
    other = file.with_suffix(suffix)
    if not other.is_file():
        raise BadConfigFile(f"{file}: {other.name} is missing beside it; a client pair needs both")
    return other
