"""The runtime handlers that work on this host.

Each configured handler is asked for its version and features once at start. A handler whose program is missing or cannot run here
is left out and the reason is kept; for the default one that is an error, unless nobody chose it: then another that works takes its
place. A runtime that refuses hosts with both cgroup versions mounted is run through our wrapper (``conmon/hybrid``).
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from crio.core.errors import CriError, FailedPrecondition, InvalidArgument
from crio.core.facts import CgroupMode, HostFacts
from crio.core.oci.document import JsonValue
from crio.core.oci.features import RuntimeFeatures, understand
from crio.core.oci.inputs import HandlerSettings
from crio.host.process import PATH, run
from crio.host.runtime.command import RuntimeCommand
from crio.host.runtime.oci import OciRuntime

PROBE_TIMEOUT_S = 10.0
MIN_CREATE_TIMEOUT_S = 30
# Tried in this order when the default was not chosen by anybody and does not work.
FALLBACKS = ("crun", "runc")
_ENV = {"PATH": PATH}


@dataclass(frozen=True, slots=True)
class HandlerConfig:
    """One ``[crio.runtime.runtimes.NAME]`` as plain values; an empty ``path`` is looked up in PATH by the handler's name."""

    name: str
    path: str = ""
    root: str = ""
    kind: str = "oci"
    monitor_path: str = ""
    monitor_env: tuple[str, ...] = ()
    monitor_cgroup: str = ""
    no_sync_log: bool = False
    create_timeout_s: int = 240
    platform_paths: Mapping[str, str] = field(default_factory=dict)
    spec: HandlerSettings = HandlerSettings()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What probing needs to know. ``explicit_default`` says that the configuration names the default handler itself.

    ``hybrid_path`` and ``exec_wait_path`` are our helper programs, ``scratch_dir`` a private folder that exists.
    """

    host: HostFacts
    hybrid_path: str
    exec_wait_path: str
    scratch_dir: str
    systemd_cgroup: bool = False
    explicit_default: bool = True


@dataclass(frozen=True, slots=True)
class Handler:
    """A handler that works: its runtime, what may be written for it, and what its monitor is told."""

    name: str
    config: HandlerConfig
    runtime: OciRuntime
    features: RuntimeFeatures
    recursive_readonly: bool = False
    user_namespaces: bool = False

    @property
    def spec(self) -> HandlerSettings:
        """The settings that reach a specification."""
        return self.config.spec

    @property
    def monitor_path(self) -> str:
        """The monitor, empty for the daemon's own."""
        return self.config.monitor_path

    @property
    def monitor_env(self) -> tuple[str, ...]:
        """Environment of the monitor, each NAME=VALUE."""
        return self.config.monitor_env

    @property
    def no_sync_log(self) -> bool:
        """Whether the monitor may leave the log unflushed."""
        return self.config.no_sync_log

    @property
    def create_timeout_s(self) -> int:
        """How long a creation may take."""
        return max(self.config.create_timeout_s, MIN_CREATE_TIMEOUT_S)


class Handlers:
    """The handlers that work. ``notes`` are sentences for the log: what was left out, wrapped or replaced, and why."""

    def __init__(self, handlers: Sequence[Handler], default: str, notes: Sequence[str] = ()) -> None:
        self._handlers = {handler.name: handler for handler in handlers}
        self.default = self._handlers[default]
        self.notes = tuple(notes)

    def get(self, name: str) -> Handler:
        """The handler of that name, the default for an empty one; raises InvalidArgument for an unknown one."""
        if not name:
            return self.default
        if name not in self._handlers:
            raise InvalidArgument(f"runtime handler {name!r} is unknown: expected one of {', '.join(sorted(self._handlers))}")
        return self._handlers[name]

    def all(self) -> tuple[Handler, ...]:
        """All of them, by name."""
        return tuple(self._handlers[name] for name in sorted(self._handlers))


@dataclass(frozen=True, slots=True)
class _Probe:
    handler: Handler | None
    note: str = ""


async def probe_handlers(configs: Sequence[HandlerConfig], default: str, around: Surroundings) -> Handlers:
    """The handlers of the configuration that work here.

    :raises FailedPrecondition: the default handler does not work and was chosen explicitly, or none works
    """
    found, notes = await _probe_all(configs, around)
    if default in found:
        return Handlers(list(found.values()), default, notes)
    reason = next((note for note in notes if note.startswith(f"runtime handler {default!r}")), f"no handler {default!r}")
    if around.explicit_default:
        raise FailedPrecondition(f"default_runtime {default!r} cannot be used: {reason}")
    spare = [HandlerConfig(name, spec=HandlerSettings(name)) for name in FALLBACKS if name not in {c.name for c in configs}]
    more, more_notes = await _probe_all(spare, around)
    found |= more
    if not found:
        raise FailedPrecondition(f"no runtime handler works here: {'; '.join([*notes, *more_notes])}")
    chosen = next(iter(found))
    notes.append(f"the default runtime handler is {chosen!r} instead of {default!r}")
    return Handlers(list(found.values()), chosen, notes)


async def _probe_all(configs: Sequence[HandlerConfig], around: Surroundings) -> tuple[dict[str, Handler], list[str]]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_probe(config, around), name=f"probe runtime {config.name}") for config in configs]
    probes = [task.result() for task in tasks]
    found = {probe.handler.name: probe.handler for probe in probes if probe.handler is not None}
    return found, [probe.note for probe in probes if probe.note]


async def _probe(config: HandlerConfig, around: Surroundings) -> _Probe:
    if config.kind != "oci":
        return _Probe(None, f"runtime handler {config.name!r} is left out: runtime_type {config.kind!r} is not supported")
    path = config.path or shutil.which(config.name, path=PATH) or ""
    if not path or not os.access(path, os.X_OK):
        return _Probe(None, f"runtime handler {config.name!r} is left out: runtime_path {path or config.name!r} is no program")
    try:
        features = await probe_features(path)
    except CriError as error:
        return _Probe(None, f"runtime handler {config.name!r} is left out: {error}")
    command = RuntimeCommand(config.name, path, config.root or f"/run/{features.name or config.name}", features, around.systemd_cgroup)
    note = ""
    if around.host.cgroups.mode is CgroupMode.HYBRID and not features.hybrid_cgroups:
        command, note = await _wrap(command, around)
        if command.path == path:
            return _Probe(None, note)
    return _Probe(_handler(config, command, around), note)


def _handler(config: HandlerConfig, command: RuntimeCommand, around: Surroundings) -> Handler:
    features, host = command.features, around.host
    return Handler(
        name=config.name,
        config=config,
        runtime=OciRuntime(command, around.exec_wait_path, around.scratch_dir),
        features=features,
        recursive_readonly=features.recursive_readonly and host.recursive_readonly,
        user_namespaces=features.idmapped_mounts and host.idmapped_mounts and host.user_namespaces,
    )


async def probe_features(path: str) -> RuntimeFeatures:
    """What a runtime program understands; raises CriError when it does not even tell its version."""
    async with asyncio.TaskGroup() as group:
        version_task = group.create_task(_answer(path, "--version"), name="runtime version")
        features_task = group.create_task(_answer(path, "features"), name="runtime features")
    version = version_task.result()
    if version is None:
        raise FailedPrecondition(f"{path} --version fails")
    answer = features_task.result()
    features: Mapping[str, JsonValue] | None = None
    if answer is not None:
        try:
            value = json.loads(answer)
        except ValueError:
            value = None
        features = value if isinstance(value, dict) else None
    return understand(version, features)


async def _answer(path: str, *words: str) -> str | None:
    """What a program prints, None when it fails."""
    try:
        completed = await run([path, *words], env=_ENV, timeout_s=PROBE_TIMEOUT_S)
    except CriError:
        return None
    return completed.stdout.decode(errors="replace") if completed.returncode == 0 else None


async def _wrap(command: RuntimeCommand, around: Surroundings) -> tuple[RuntimeCommand, str]:
    """The command through our wrapper, or as it was with the reason why that does not work."""
    option = f"--hybrid={around.host.cgroups.v2_mount}:{command.path}"
    why = f"{command.path} refuses hosts with cgroup v1 and v2 mounted together"
    if not os.access(around.hybrid_path, os.X_OK):
        return command, f"runtime handler {command.handler!r} is left out: {why}, and {around.hybrid_path} is not there"
    if await _answer(around.hybrid_path, option, "--version") is None:
        return command, f"runtime handler {command.handler!r} is left out: {why}, and it cannot be given a mount namespace"
    wrapped = dataclasses.replace(command, path=around.hybrid_path, global_args=(option, *command.global_args))
    return wrapped, f"runtime handler {command.handler!r} runs in a mount namespace of its own: {why}"
