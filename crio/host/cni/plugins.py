"""Runs network plugins: finds the program, starts it, reads its answer, and walks a chain of them.

A chain costs what its plugins cost; nothing else is started. Source: CNI specification, sections 2 and 3.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from crio.core.cni import call
from crio.core.cni.answer import parse_failure, parse_result, result_object
from crio.core.cni.call import Command
from crio.core.cni.config import VERSION_PREV_RESULT_ON_DEL, NetworkConfig, PluginConfig
from crio.core.cni.errors import PluginFailed, PluginMissing, PluginTimedOut
from crio.core.cni.values import Attachment, CniResult
from crio.core.errors import CriError, DeadlineExceeded
from crio.core.image.document import JsonValue
from crio.host import process

OUTPUT_LIMIT_BYTES = 1 << 20


class Runner(Protocol):
    """How a program is run; ``crio.host.process.run`` in the daemon."""

    async def __call__(self, argv: Sequence[str], *, env: Mapping[str, str], stdin: bytes, timeout_s: float) -> process.Completed:
        """Runs the program to its end. Raises DeadlineExceeded when the time is over."""


async def run_here(argv: Sequence[str], *, env: Mapping[str, str], stdin: bytes, timeout_s: float) -> process.Completed:
    """Runs a program in the daemon's own namespaces."""
    return await process.run(argv, env=env, stdin=stdin, timeout_s=timeout_s, limit_bytes=OUTPUT_LIMIT_BYTES)


class Clock(Protocol):
    """How much time an operation has left."""

    def left_s(self) -> float:
        """Seconds until the deadline, never below 0."""


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of one plugin."""

    command: Command
    plugin: PluginConfig
    stdin: bytes
    attachment: Attachment | None = None


class Plugins:
    """The plugins of the given directories, the first that has a name wins."""

    def __init__(self, plugin_dirs: Sequence[str], runner: Runner = run_here) -> None:
        self._dirs = tuple(plugin_dirs)
        self._runner = runner

    def find(self, kind: str) -> str:
        """The path of a plugin's program. :raises PluginMissing: names the plugin and the directories"""
        for directory in self._dirs:
            path = os.path.join(directory, kind)
            try:
                mode = os.stat(path).st_mode
            except OSError:
                continue
            if stat.S_ISREG(mode) and mode & 0o111:
                return path
        raise PluginMissing(f"CNI plugin {kind!r} is not in {', '.join(self._dirs) or 'any directory (plugin_dirs is empty)'}")

    async def add(self, network: NetworkConfig, attachment: Attachment, clock: Clock) -> CniResult:
        """Attach: runs the chain forwards, each plugin with the result of the one before it.

        :raises PluginMissing, PluginFailed, PluginTimedOut: the first plugin that fails; what came before it is not undone
        """
        prev: JsonValue = None
        by_plugin = call.PORT_MAPPINGS in attachment.capability_args and network.has_capability(call.PORT_MAPPINGS)
        result = CniResult(ips=())
        for plugin in network.plugins:
            stdin = call.plugin_input(network, plugin, prev_result=prev, capability_args=attachment.capability_args)
            answer = await self._run(_Call(Command.ADD, plugin, stdin, attachment), clock)
            result = parse_result(answer, plugin.type, ports_by_plugin=by_plugin)
            prev = result_object(result)
        return result

    async def delete(self, network: NetworkConfig, attachment: Attachment, prev_result: JsonValue, clock: Clock) -> None:
        """Detach: runs the whole chain backwards even if a plugin fails, so that as much as possible is given back.

        :raises PluginMissing, PluginFailed, PluginTimedOut: the first failure, after all have run
        """
        prev = prev_result if network.version() >= VERSION_PREV_RESULT_ON_DEL else None
        first: CriError | None = None
        for plugin in reversed(network.plugins):
            stdin = call.plugin_input(network, plugin, prev_result=prev, capability_args=attachment.capability_args)
            try:
                await self._run(_Call(Command.DEL, plugin, stdin, attachment), clock)
            except (PluginMissing, PluginFailed, PluginTimedOut) as error:
                first = first or error
        if first is not None:
            raise first

    async def status(self, network: NetworkConfig, clock: Clock) -> None:
        """Ask every plugin whether it can attach. :raises PluginMissing, PluginFailed, PluginTimedOut: the first that cannot"""
        for plugin in network.plugins:
            await self._run(_Call(Command.STATUS, plugin, call.plugin_input(network, plugin)), clock)

    async def gc(self, network: NetworkConfig, valid: Iterable[Attachment], clock: Clock) -> None:
        """Let every plugin drop what belongs to none of ``valid``.

        :raises PluginMissing, PluginFailed, PluginTimedOut: the first failure, after all have run
        """
        kept = tuple(valid)
        first: CriError | None = None
        for plugin in network.plugins:
            stdin = call.plugin_input(network, plugin, valid_attachments=kept)
            try:
                await self._run(_Call(Command.GC, plugin, stdin), clock)
            except (PluginMissing, PluginFailed, PluginTimedOut) as error:
                first = first or error
        if first is not None:
            raise first

    async def _run(self, one: _Call, clock: Clock) -> bytes:
        kind, verb = one.plugin.type, one.command.value
        path = self.find(kind)
        env = call.plugin_env(one.command, self._dirs, os.environ, one.attachment)
        timeout_s = clock.left_s()
        try:
            done = await self._runner([path], env=env, stdin=one.stdin, timeout_s=timeout_s)
        except DeadlineExceeded as error:
            raise PluginTimedOut(f"CNI plugin {kind!r} did not end {verb} within {timeout_s:.3g} s and was killed") from error
        if done.returncode != 0:
            failure = parse_failure(done.stdout, done.stderr, done.returncode)
            raise PluginFailed(f"CNI plugin {kind!r} failed {verb}: {failure.words}", failure.code)
        if done.truncated:
            raise PluginFailed(f"CNI plugin {kind!r} wrote more than {OUTPUT_LIMIT_BYTES} bytes as its answer to {verb}")
        return done.stdout
