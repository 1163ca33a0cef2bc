"""Finding credentials: the request's own, helper programs, and auth files in all their places.

Credentials of a request belong to the registry that it names; a mirror on another host gets only what the files say for it.

Source: containers-auth.json(5); specification D.8; specification of the daemon's interfaces, §7.9.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from crio.core.image.auth import AuthFile, Credentials, find_entry, helper_for, parse_auth_file, parse_helper_reply
from crio.core.image.errors import BadConfigFile
from crio.core.image.reference import Reference
from crio.core.image.registries import AUTH_FILES_HELPER
from crio.host import process
from crio.host.registry.conffiles import read_bounded_file

HELPER_S = 30.0
_HELPER_NAME = re.compile(r"[A-Za-z0-9._-]+")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class GivenCredentials:
    """What comes with one request: credentials for the registry that it names, and a file for its Kubernetes namespace."""

    credentials: Credentials | None = None
    namespaced_file: Path | None = None


@dataclass(frozen=True, slots=True)
class AuthOptions:
    """Where credentials are. A ``global_file`` replaces the default places."""

    global_file: str = ""
    default_files: tuple[str, ...] = ()


def default_auth_files(environ: Mapping[str, str], uid: int) -> tuple[str, ...]:
    """The places where tools keep auth files, in order of precedence."""
    home = environ.get("HOME", "/root")
    runtime = environ.get("XDG_RUNTIME_DIR")
    config = environ.get("XDG_CONFIG_HOME", f"{home}/.config")
    return (
        f"{runtime}/containers/auth.json" if runtime else f"/run/containers/{uid}/auth.json",
        f"{config}/containers/auth.json",
        f"{environ.get('DOCKER_CONFIG', f'{home}/.docker')}/config.json",
        f"{home}/.dockercfg",
    )


class CredentialSource:
    """Answers "who are we at this registry" during one pull. ``helpers`` are the ``credential-helpers`` of registries.conf."""

    def __init__(self, options: AuthOptions, helpers: tuple[str, ...], asked: Reference, given: GivenCredentials) -> None:
        self._options = options
        self._helpers = helpers
        self._asked = asked
        self._given = given

    async def find(self, reference: Reference) -> Credentials | None:
        """The credentials for the repository of ``reference``, or None for anonymous.

        :raises BadConfigFile: an auth file or helper is broken, and no other has any; a missing file is none
        """
        given = self._given
        if given.credentials is not None and reference.host == self._asked.host:
            return given.credentials
        if given.namespaced_file is not None:
            found = await self._in_file(str(given.namespaced_file), reference)
            if found is not None:
                return found
        failure: BadConfigFile | None = None
        for helper in self._helpers:
            try:
                found = await self._in_files(reference) if helper == AUTH_FILES_HELPER else await _ask_helper(helper, reference.host)
            except BadConfigFile as error:
                failure = failure or error
                continue
            if found is not None:
                return found
        if failure is not None:
            raise failure
        return None

    async def _in_files(self, reference: Reference) -> Credentials | None:
        options = self._options
        for path in (options.global_file,) if options.global_file else options.default_files:
            found = await self._in_file(path, reference)
            if found is not None:
                return found
        return None

    async def _in_file(self, path: str, reference: Reference) -> Credentials | None:
        file = await asyncio.to_thread(_read_auth_file, path)
        if file is None:
            return None
        helper = helper_for(file, reference.host)
        if helper is not None:
            return await _ask_helper(helper, reference.host)
        return find_entry(file, reference.host, reference.path)


def _read_auth_file(path: str) -> AuthFile | None:
    try:
        body = read_bounded_file(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise BadConfigFile(f"{path}: {error.strerror}") from error
    return parse_auth_file(body, path, flat=path.endswith(".dockercfg"))


async def _ask_helper(name: str, host: str) -> Credentials | None:
    if _HELPER_NAME.fullmatch(name) is None:
        raise BadConfigFile(f"credential helper {name!r}: not the suffix of a program name")
    program = f"docker-credential-{name}"
    path = _which(program)
    if path is None:
        raise BadConfigFile(f"credential helper {program!r}: no such program in {process.PATH}")
    done = await process.run((path, "get"), stdin=host.encode(), timeout_s=HELPER_S)
    if done.returncode != 0:
        # A helper that knows nothing about the host says so with a failure.
        if b"credentials not found" in done.stdout + done.stderr:
            return None
        raise BadConfigFile(f"credential helper {program!r}: exit {done.returncode} for {host!r}")
    return parse_helper_reply(done.stdout, name)


def _which(program: str) -> str | None:
    for folder in process.PATH.split(":"):
        path = os.path.join(folder, program)
        if os.access(path, os.X_OK):
            return path
    return None


@contextlib.contextmanager
def namespaced_auth_file(folder: str, namespace: str, image: str) -> Iterator[Path | None]:
    """Takes the auth file that a credential provider left for one image and one Kubernetes namespace.

    The file is moved away first so that nobody else uses it, and deleted in the end, whatever happened.

    :param folder: ``namespaced_auth_dir``
    :param image: the name exactly as the kubelet sent it
    """
    if not folder or _NAMESPACE.fullmatch(namespace) is None:
        yield None
        return
    stem = f"{namespace}-{hashlib.sha256(image.encode()).hexdigest()}"
    source = Path(folder, f"{stem}.json")
    in_use = Path(folder, "in-use", f"{stem}-{uuid.uuid4()}.json")
    try:
        in_use.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        source.rename(in_use)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        source.unlink(missing_ok=True)
        raise BadConfigFile(f"{source}: cannot be moved to {in_use.parent}: {error.strerror}") from error
    try:
        yield in_use
    finally:
        in_use.unlink(missing_ok=True)
