"""One layer on its way: download, hash, decompress, unpack, in one stream with no copy of the blob anywhere.

The C program ``unpack`` does everything that touches the content, in a process that dies with its layer: its memory comes back,
and what a hostile archive can do is bounded by its limits and its chroot.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from crio.core.errors import CriError, Internal
from crio.core.image.digest import Digest
from crio.core.image.errors import BadLayer, LayerOverBudget
from crio.core.image.unpacked import REPORT_LIMIT_BYTES, UnpackReport, parse_report
from crio.host import process
from crio.host.pull.source import Blob, ImageSource
from crio.host.registry.download import UNKNOWN_SIZE
from crio.host.registry.pipe import PipeFeed, ReaderGone
from crio.host.store.port import StagedLayer

SPARE_SHARE = 50


class UnpackerKilled(Internal):
    """Somebody killed the unpacker: a person, or the kernel for lack of memory. It says nothing about the layer."""

    passing = True


@dataclass(frozen=True, slots=True)
class UnpackOptions:
    """The program and the limits of one layer; ``seconds`` is processor time. ``cgroup_procs`` take it into a cgroup."""

    program: str
    seconds: int
    cgroup_procs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LayerJob:
    """One layer to fetch and unpack; schema 1 does not know the diff id."""

    blob: Blob
    diff_id: Digest | None

    @property
    def title(self) -> str:
        """What to call the layer in a sentence."""
        return f"layer {self.blob.digest}"


async def fetch_and_unpack(
    options: UnpackOptions, job: LayerJob, source: ImageSource, staged: StagedLayer, on_bytes: Callable[[int], None]
) -> UnpackReport:
    """Streams the blob of ``job`` from ``source`` through the unpacker into ``staged``.

    When this returns or raises, also when it is cancelled, the unpacker is gone.

    :raises DigestMismatch: blob or uncompressed archive are not what was promised
    :raises BadLayer: the archive is truncated, malformed or hostile
    :raises ResourceExhausted: the disk is full, or the layer is bigger than its limits
    :raises LayerOverBudget: unpacking takes too much processor time
    :raises UnpackerKilled: the unpacker was killed from outside
    """
    with PipeFeed() as feed, _memory_file("unpack-report") as report_fd, _memory_file("unpack-errors") as error_fd:
        child = _start(options, job, staged, process.SpawnOptions(stdin_fd=feed.read_fd, stdout_fd=report_fd, stderr_fd=error_fd))
        try:
            _move(child.pid, options.cgroup_procs)
            feed.hand_over()
            with contextlib.suppress(ReaderGone):
                await source.send_blob(job.blob, feed, on_bytes)
            feed.finish()
            returncode = await child.wait()
        finally:
            await child.end()
        line = _content(report_fd)
        if not line:
            words = _content(error_fd).decode(errors="replace").strip()[-500:]
            raise _silent_death(returncode, job.title, words)
        return parse_report(line, job.title)


def _start(options: UnpackOptions, job: LayerJob, staged: StagedLayer, spawn: process.SpawnOptions) -> process.Child:
    argv = [options.program, "--root", staged.diff_path, "--tar-split", staged.tar_split_path]
    argv += ["--max-bytes", str(_room_bytes(staged.diff_path))]
    if options.seconds:
        argv += ["--max-seconds", str(options.seconds)]
    if job.blob.size_bytes != UNKNOWN_SIZE:
        argv += ["--size", str(job.blob.size_bytes)]
    for option, digest in (("--digest", job.blob.digest), ("--diff-id", job.diff_id)):
        if digest is None:
            continue
        if digest.algorithm != "sha256":
            raise BadLayer(f"{job.title}: {digest.algorithm} digests of layers cannot be checked, expected sha256")
        argv += [option, str(digest)]
    try:
        return process.spawn(argv, spawn)
    except OSError as error:
        raise Internal(f"cannot execute {options.program!r}: {error.strerror}") from error


def _move(pid: int, cgroup_procs: tuple[str, ...]) -> None:
    """Before the first byte arrives, so that what the content costs is counted there."""
    for path in cgroup_procs:
        try:
            with open(path, "wb", buffering=0) as file:
                file.write(b"%d" % pid)
        except ProcessLookupError:
            # It has ended already, and says why in its report.
            return
        except OSError as error:
            raise Internal(f"the unpacker cannot be put into the cgroup of {path}: {error.strerror}") from error


def _room_bytes(path: str) -> int:
    """What one layer may write: what is free now, but for a small part of the file system that the node needs to live on."""
    disk = os.statvfs(path)
    return max(1, disk.f_bavail - disk.f_blocks // SPARE_SHARE) * disk.f_frsize


def _silent_death(returncode: int, title: str, words: str) -> CriError:
    if returncode in {-signal.SIGKILL, -signal.SIGTERM}:
        return UnpackerKilled(f"{title}: the unpacker was killed by signal {-returncode}: look for a lack of memory")
    if returncode == -signal.SIGXCPU:
        return LayerOverBudget(f"{title}: the unpacker used up its processor time")
    return Internal(f"{title}: the unpacker ended with {returncode} and no report{': ' + words if words else ''}")


@contextlib.contextmanager
def _memory_file(name: str) -> Iterator[int]:
    fd = os.memfd_create(name, os.MFD_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _content(fd: int) -> bytes:
    return os.pread(fd, REPORT_LIMIT_BYTES + 1, 0)
