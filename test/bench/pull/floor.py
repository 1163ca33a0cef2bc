"""What the machine needs for the steps of a pull, each alone: download, two digests, inflating, writing."""

from __future__ import annotations

import http.client
import json
import os
import pathlib
import subprocess
import time
from collections.abc import Callable

CHUNK_BYTES = 1024 * 1024


def _timed(work: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    work()
    return time.perf_counter() - began_s


def _download(registry: str, repository: str, digest: str, to: pathlib.Path | None) -> None:
    connection = http.client.HTTPConnection(registry, timeout=60)
    connection.request("GET", f"/v2/{repository}/blobs/{digest}")
    response = connection.getresponse()
    with open(to or os.devnull, "wb") as out:
        while part := response.read(CHUNK_BYTES):
            out.write(part)
    connection.close()


def _layers(registry: str, repository: str, tag: str) -> list[str]:
    connection = http.client.HTTPConnection(registry, timeout=60)
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    connection.request("GET", f"/v2/{repository}/manifests/{tag}", headers=accept)
    manifest = json.loads(connection.getresponse().read())
    connection.close()
    return [layer["digest"] for layer in manifest["layers"]]


def _write(source: pathlib.Path, to: pathlib.Path) -> None:
    with source.open("rb") as given, to.open("wb") as out:
        while part := given.read(CHUNK_BYTES):
            out.write(part)


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)


def measure(registry: str, tag: str, folder: pathlib.Path) -> dict[str, float]:
    """Seconds for the image of one gzip layer, one step after the other on one core; the kernel's page cache holds the input."""
    digest = _layers(registry, "gzip1", tag)[0]
    blob, archive = folder / "blob", folder / "archive"
    figures = {"download to nowhere": _timed(lambda: _download(registry, "gzip1", digest, None))}
    _download(registry, "gzip1", digest, blob)
    figures["sha256 of the blob"] = _timed(lambda: _run("openssl", "dgst", "-sha256", str(blob)))
    with archive.open("wb") as out:
        figures["inflate (zlib), with writing"] = _timed(lambda: subprocess.run(["gzip", "-dc", str(blob)], stdout=out, check=True))
    figures["sha256 of the archive"] = _timed(lambda: _run("openssl", "dgst", "-sha256", str(archive)))
    figures["write the archive"] = _timed(lambda: _write(archive, folder / "copy"))
    return figures
