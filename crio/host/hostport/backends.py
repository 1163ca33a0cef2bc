"""The two ways to write host ports into the kernel: nft and iptables."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from typing import Protocol

from crio.core.errors import CriError, Internal
from crio.core.hostport import iptables, nft
from crio.core.hostport.mapping import Family, Forward
from crio.core.image.errors import BadDocument
from crio.host.cni.plugins import Runner
from crio.host.process import PATH, Completed

_TIMEOUT_S = 30.0

Table = dict[str, tuple[Forward, ...]]


class Backend(Protocol):
    """Where forwards live. All of a call happens, or nothing."""

    async def load(self) -> Table:
        """The forwards of every sandbox that the kernel has. Raises CriError."""

    async def add(self, sandbox_id: str, forwards: Sequence[Forward]) -> None:
        """Add a sandbox's forwards. Raises CriError."""

    async def remove(self, sandbox_id: str, forwards: Sequence[Forward]) -> None:
        """Remove a sandbox's forwards. Raises CriError."""


def find_tool(name: str) -> str:
    """The path of a program of the system; empty when there is none."""
    return shutil.which(name, path=PATH) or ""


class NftBackend:
    """nftables, by one ``nft -f`` per change: a transaction."""

    def __init__(self, nft_path: str, runner: Runner) -> None:
        self._path = nft_path
        self._runner = runner
        self._set_up: set[Family] = set()

    async def load(self) -> Table:
        """The forwards of both families; a table that is not there has none."""
        found: dict[str, list[Forward]] = {}
        for family in Family:
            done = await self._run(["-j", "list", "table", family.value, nft.TABLE], b"")
            if done.returncode != 0:
                if b"No such file" in done.stderr:
                    self._set_up.discard(family)
                    continue
                raise Internal(f"nft cannot list table {family.value} {nft.TABLE}: {done.text()}")
            try:
                _extend(found, nft.parse_listing(done.stdout, family))
            except BadDocument as error:
                raise Internal(str(error)) from error
        return {sandbox_id: tuple(forwards) for sandbox_id, forwards in found.items()}

    async def add(self, sandbox_id: str, forwards: Sequence[Forward]) -> None:
        """Add the elements, and the table before the first of a family."""
        families = {forward.family for forward in forwards}
        missing = sorted(families - self._set_up, key=lambda family: family.value)
        script = "".join(nft.setup_script(family) for family in missing) + nft.add_script(sandbox_id, forwards)
        await self._apply(script)
        self._set_up |= families

    async def remove(self, sandbox_id: str, forwards: Sequence[Forward]) -> None:
        """Remove the elements."""
        await self._apply(nft.remove_script(forwards))

    async def _apply(self, script: str) -> None:
        done = await self._run(["-f", "-"], script.encode())
        if done.returncode != 0:
            raise Internal(f"nft refuses the host ports: {done.text()}")

    async def _run(self, arguments: list[str], stdin: bytes) -> Completed:
        return await self._runner([self._path, *arguments], env={"PATH": PATH}, stdin=stdin, timeout_s=_TIMEOUT_S)


class IptablesBackend:
    """iptables, by ``iptables-save`` and ``iptables-restore --noflush`` per family; changes go one after another."""

    def __init__(self, paths: Mapping[Family, str], runner: Runner) -> None:
        self._paths = dict(paths)
        self._runner = runner
        self._lock = asyncio.Lock()

    async def load(self) -> Table:
        """The forwards of the families that have a tool."""
        found: dict[str, list[Forward]] = {}
        for family in self._paths:
            _extend(found, (await self._save(family)).forwards(family))
        return {sandbox_id: tuple(forwards) for sandbox_id, forwards in found.items()}

    async def add(self, sandbox_id: str, forwards: Sequence[Forward]) -> None:
        """Add the chains; when the second family fails, the first is taken back."""
        async with self._lock:
            try:
                for family in self._paths:
                    own = [forward for forward in forwards if forward.family is family]
                    if own:
                        await self._restore(family, iptables.add_script(await self._save(family), family, sandbox_id, own))
            except CriError:
                await self._remove(sandbox_id)
                raise

    async def remove(self, sandbox_id: str, forwards: Sequence[Forward]) -> None:
        """Remove the chains."""
        async with self._lock:
            await self._remove(sandbox_id)

    async def _remove(self, sandbox_id: str) -> None:
        for family in self._paths:
            script = iptables.remove_script(await self._save(family), sandbox_id)
            if script:
                await self._restore(family, script)

    async def _save(self, family: Family) -> iptables.Saved:
        done = await self._run(f"{self._paths[family]}-save", ["-t", "nat"], b"")
        if done.returncode != 0:
            raise Internal(f"{self._paths[family]}-save: {done.text()}")
        return iptables.parse_saved(done.stdout.decode(errors="replace"))

    async def _restore(self, family: Family, script: str) -> None:
        done = await self._run(f"{self._paths[family]}-restore", ["--noflush", "-w", "10"], script.encode())
        if done.returncode != 0:
            raise Internal(f"{self._paths[family]}-restore refuses the host ports: {done.text()}")

    async def _run(self, path: str, arguments: list[str], stdin: bytes) -> Completed:
        return await self._runner([path, *arguments], env={"PATH": PATH}, stdin=stdin, timeout_s=_TIMEOUT_S)


def _extend(found: dict[str, list[Forward]], more: Mapping[str, tuple[Forward, ...]]) -> None:
    for sandbox_id, forwards in more.items():
        found.setdefault(sandbox_id, []).extend(forwards)
