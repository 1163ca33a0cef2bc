"""Wiring: settings to ports, ports to operations, operations to servers; start in order, stop in reverse.

Nothing is decided here. ``serve`` returns the exit code of the daemon.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import shutil
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from crio import __version__
from crio.core.errors import Internal
from crio.core.facts import HostFacts
from crio.core.oci.inputs import HandlerSettings
from crio.core.settings.translate import min_memory_bytes
from crio.core.settings.values import RuntimeHandler, Settings
from crio.cri.image_service import ImageService
from crio.cri.runtime_service import RuntimeService
from crio.cri.server import Observer, make_server
from crio.host import logs, markers, namespaces, process, syscalls
from crio.host.blocking import Blocking
from crio.host.cgroup.manager import CgroupManager
from crio.host.cni.manager import CniManager, CniOptions
from crio.host.config.load import LoadedSettings
from crio.host.exitwatch import ExitWatch
from crio.host.facts import probe_host
from crio.host.frontdoor import FrontDoor, hold_lock, notify_systemd
from crio.host.hostport.manager import HostportManager
from crio.host.journal import DiskJournal
from crio.host.pull.lazy import LazyPulls, pull_engine, pull_options
from crio.host.registry.conffiles import RegistriesFiles
from crio.host.registry.names import ImageNames
from crio.host.runtime.handlers import HandlerConfig, Surroundings, probe_handlers
from crio.host.store import StoreOptions, open_store
from crio.ops import exits, network
from crio.ops.context import Context, Live, Programs
from crio.ops.flights import Flights
from crio.ops.meter import Meter, Unmetered
from crio.ops.restore import restore
from crio.ops.stages import Timeline
from crio.ops.table import Table

if TYPE_CHECKING:
    from crio.host.pull.engine import PullEngine
    from crio.host.pull.leftlayers import LeftLayers
    from crio.status.api import StatusServer

DRAIN_S: Final = 10.0
GRPC_GRACE_S: Final = 1.0
TREE: Final = Path(__file__).resolve().parent.parent
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Start:
    """What the command line hands to the daemon."""

    loaded: LoadedSettings
    registries: RegistriesFiles
    reload: Callable[[], LoadedSettings]
    config_text: Callable[[LoadedSettings], str]


def find_program(name: str, configured: str = "", *, private: bool = False) -> str:
    """A C program: as configured, else of this tree, else in PATH. Raises Internal naming where it was looked for."""
    own = TREE / ("libexec/crio" if private else "bin") / name
    for candidate in (configured, str(own)):
        if candidate and os.access(candidate, os.X_OK):
            return candidate
    if configured:
        raise Internal(f"program {configured!r} is not executable: expected {name}")
    found = shutil.which(name, path=process.PATH)
    if found is None:
        raise Internal(f"program {name!r} was found neither at {own} nor in PATH")
    return found


def store_options(loaded: LoadedSettings) -> StoreOptions:
    """Where the store is, from the ``[crio]`` table and storage.conf."""
    root = loaded.require().root
    return StoreOptions(
        root=root.root,
        runroot=root.runroot,
        driver=root.storage_driver or "overlay",
        options=root.storage_option,
        imagestore=root.imagestore,
        transient=loaded.storage_conf.transient_store,
    )


def handler_config(name: str, handler: RuntimeHandler) -> HandlerConfig:
    """One ``[crio.runtime.runtimes.NAME]`` as the probes want it."""
    return HandlerConfig(
        name=name,
        path=handler.runtime_path,
        root=handler.runtime_root,
        kind=str(handler.runtime_type) or "oci",
        monitor_path=handler.monitor_path,
        monitor_env=handler.monitor_env,
        monitor_cgroup=handler.monitor_cgroup,
        no_sync_log=handler.no_sync_log,
        create_timeout_s=handler.container_create_timeout,
        platform_paths=handler.platform_runtime_paths,
        spec=HandlerSettings(
            name=name,
            allowed_annotations=handler.allowed_annotations,
            default_annotations=handler.default_annotations,
            privileged_without_host_devices=handler.privileged_without_host_devices,
            container_min_memory_bytes=min_memory_bytes(name, handler),
        ),
    )


def _systemd_cgroups(loaded: LoadedSettings, facts: HostFacts) -> bool:
    """The cgroup manager: as configured, else systemd where it is PID 1."""
    if loaded.is_set("crio", "runtime", "cgroup_manager"):
        return str(loaded.settings.runtime.cgroup_manager) == "systemd"
    log.info("cgroup_manager is not set: using %s", "systemd" if facts.systemd else "cgroupfs, since PID 1 is not systemd")
    return facts.systemd


def _plugin_dirs(loaded: LoadedSettings) -> tuple[str, ...]:
    """Where CNI plugins are looked for; Debian's directory is the second choice where nobody chose one."""
    configured = loaded.settings.network.plugin_dirs
    return configured if loaded.is_set("crio", "network", "plugin_dirs") else (*configured, "/usr/lib/cni")


def _surroundings(loaded: LoadedSettings, facts: HostFacts, systemd: bool) -> Surroundings:
    scratch = os.path.join(loaded.settings.root.runroot, "exec")
    os.makedirs(scratch, mode=0o700, exist_ok=True)
    return Surroundings(
        host=facts,
        hybrid_path=str(TREE / "libexec/crio/runtime-hybrid"),
        exec_wait_path=str(TREE / "libexec/crio/exec-wait"),
        scratch_dir=scratch,
        systemd_cgroup=systemd,
        explicit_default=loaded.is_set("crio", "runtime", "default_runtime"),
    )


def _prepare(settings: Settings) -> None:
    """Directories that the daemon expects; raises OSError."""
    root, runtime = settings.root, settings.runtime
    for path, mode in (
        (root.root, 0o755),
        (root.runroot, 0o755),
        (root.log_dir, 0o700),
        (runtime.container_exits_dir, 0o755),
        (runtime.container_attach_socket_dir, 0o755),
        (settings.network.network_dir, 0o755),
    ):
        os.makedirs(path, mode=mode, exist_ok=True)
    namespaces.prepare_directory(runtime.namespaces_dir)


async def make_context(start: Start, settings: Settings, group: asyncio.TaskGroup, stack: contextlib.AsyncExitStack) -> Context:
    """All ports, opened in order; ``stack`` closes them. Raises CriError or OSError."""
    syscalls.set_child_subreaper()
    process.watch_orphans()
    process.raise_file_limit()
    facts = await probe_host()
    _prepare(settings)
    for path in {settings.root.root, settings.root.runroot}:
        lock_fd = hold_lock(os.path.join(path, "crio.lock"), f"the store {settings.root.root}")
        stack.callback(os.close, lock_fd)
    blocking = Blocking()
    stack.callback(blocking.close)
    store = await blocking.run(open_store, store_options(start.loaded))
    stack.callback(store.shutdown)
    systemd = _systemd_cgroups(start.loaded, facts)
    handlers = await probe_handlers(
        [handler_config(name, handler) for name, handler in settings.runtime.runtimes.items()],
        settings.runtime.default_runtime,
        _surroundings(start.loaded, facts, systemd),
    )
    for note in handlers.notes:
        log.warning("%s", note)
    network = settings.network
    cni = CniManager(
        CniOptions(
            config_dir=network.network_dir,
            plugin_dirs=_plugin_dirs(start.loaded),
            default_network=network.cni_default_network,
            owner=f"crio:{settings.root.root}",
            status_grace_period_s=network.cni_status_grace_period.total_seconds(),
        )
    )
    await cni.start()
    stack.push_async_callback(cni.stop)
    unpack = find_program("unpack", private=True)
    meter = make_meter(settings)

    def make_engine(left: LeftLayers) -> PullEngine:
        return pull_engine(store, left, replace(pull_options(settings, start.registries, unpack), on_end=meter.on_pull))

    pulls = LazyPulls(make_engine, store, settings)
    stack.callback(pulls.close)
    return Context(
        live=Live(settings),
        facts=facts,
        programs=Programs(find_program("conmon"), find_program("pinns", settings.runtime.pinns_path)),
        store=store,
        table=Table(DiskJournal(store.container_dir)),
        flights=Flights(group),
        timeline=Timeline(),
        blocking=blocking,
        handlers=handlers,
        cgroups=CgroupManager(facts.cgroups, systemd),
        cni=cni,
        hostports=HostportManager(),
        pulls=pulls,
        names=ImageNames(start.registries),
        exits=ExitWatch(settings.runtime.container_exits_dir, group),
        meter=meter,
    )


def make_meter(settings: Settings) -> Meter:
    """What counts: nothing unless metrics are on. The Prometheus library costs more time and memory than the rest of a start."""
    if not settings.metrics.enable_metrics:
        return Unmetered()
    from crio.status.metrics import PrometheusMeter

    return PrometheusMeter(settings.metrics.metrics_collectors)


async def serve_metrics(ctx: Context, stack: contextlib.AsyncExitStack) -> None:
    """Let Prometheus in, if metrics are on; raises InvalidArgument naming the setting that is in the way."""
    if not ctx.settings.metrics.enable_metrics:
        return
    from crio.status.metrics_server import MetricsServer

    server = MetricsServer(ctx)
    stack.push_async_callback(server.stop)
    await server.start()


class LateStatus:
    """The status server, made when its first client knocks."""

    def __init__(self, ctx: Context, door: FrontDoor, config_text: Callable[[], str], group: asyncio.TaskGroup) -> None:
        self._ctx, self._door, self._config_text, self._group = ctx, door, config_text, group
        self._server: StatusServer | None = None
        asyncio.get_running_loop().add_reader(door.http, self._on_client)

    def _on_client(self) -> None:
        asyncio.get_running_loop().remove_reader(self._door.http)
        self._group.create_task(_guarded("status server", self._start()), name="status server")

    async def _start(self) -> None:
        from crio.status.api import StatusServer

        self._server = StatusServer(self._ctx, self._config_text())
        await self._server.start(self._door.http)

    async def stop(self) -> None:
        """End it, if it ever began."""
        if self._server is not None:
            await self._server.stop()
        else:
            asyncio.get_running_loop().remove_reader(self._door.http)


async def _guarded(what: str, work: Awaitable[None]) -> None:
    """The root of a background task: a bug in it is logged and does not end the daemon with the group."""
    try:
        await work
    except Exception:  # the root of a task
        log.exception("%s failed with a bug", what)


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel a background task and wait until it has put down what it was doing."""
    task.cancel()
    await asyncio.wait([task])


def _observer(meter: Meter) -> Observer:
    """What is told of every unary call."""

    def observe(method: str, seconds: float, failed: bool) -> None:
        log.debug("%s %s in %.1f ms", method, "failed" if failed else "done", seconds * 1000)
        meter.on_call(method, seconds, failed)

    return observe


async def serve(start: Start) -> int:
    """Run the daemon until it is told to stop. Raises CriError or OSError when it cannot start."""
    began = time.monotonic()
    settings = start.loaded.require()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    process.default_signals()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGUSR2, lambda: gc.collect() and None)
    async with asyncio.TaskGroup() as group, contextlib.AsyncExitStack() as stack:
        door = FrontDoor(settings.api.listen)
        stack.callback(door.close)
        ctx = await make_context(start, settings, group, stack)
        await serve_metrics(ctx, stack)
        ctx.exits.begin(lambda name: exits.on_exit(ctx, name), lambda name: exits.on_monitor_end(ctx, name))
        stack.callback(ctx.exits.close)
        if markers.was_unclean(settings.root):
            log.info("the last daemon did not end orderly: what it was doing is looked through now")
        await restore(ctx, DiskJournal(ctx.store.container_dir).read)
        group.create_task(_guarded("network clean-up", network.clean_up(ctx)), name="network clean-up")
        tending = group.create_task(_guarded("layers of failed pulls", ctx.pulls.tend()), name="layers of failed pulls")
        stack.push_async_callback(_end, tending)
        server = make_server(
            RuntimeService(ctx),
            ImageService(ctx),
            _observer(ctx.meter),
            max_receive_bytes=settings.api.grpc_max_recv_msg_size,
            max_send_bytes=settings.api.grpc_max_send_msg_size,
        )
        server.add_insecure_port(f"unix:{door.grpc_path}")
        await server.start()
        stack.push_async_callback(server.stop, GRPC_GRACE_S)
        status = LateStatus(ctx, door, lambda: start.config_text(start.loaded), group)
        stack.push_async_callback(status.stop)
        loop.add_signal_handler(signal.SIGHUP, Reload(ctx, start))
        await ctx.blocking.run(markers.on_start, settings.root)
        door.open()
        gc.collect()
        gc.freeze()
        notify_systemd("READY=1")
        log.info("listening on %s after %.0f ms", settings.api.listen, (time.monotonic() - began) * 1000)
        await stopping.wait()
        notify_systemd("STOPPING=1")
        log.info("stopping: containers keep running")
        await ctx.flights.drain(DRAIN_S)
        await ctx.blocking.run(markers.on_clean_stop, settings.root)
    return 0


class Reload:
    """SIGHUP: take over what may change while running; what is wrong is logged and changes nothing."""

    def __init__(self, ctx: Context, start: Start) -> None:
        self._ctx, self._start = ctx, start
        self._baseline = start.loaded

    def __call__(self) -> None:
        """Read the files again and apply what changed since the last time."""
        from crio.core.settings.reload import apply_changes, diff

        loaded = self._start.reload()
        if loaded.errors:
            for finding in loaded.errors:
                log.error("configuration is not reloaded: %s", finding)
            return
        changes = diff(self._baseline.from_files(), loaded.from_files())
        self._baseline = loaded
        ctx = self._ctx
        ctx.live.settings = apply_changes(ctx.live.settings, changes.live)
        for change in changes.live:
            log.info('Set config %s to "%s"', change.key, change.new)
        for change in changes.restart:
            log.warning("config %s changed to %r: it takes effect with a restart", change.key, change.new)
        ctx.names.reload()
        ctx.pulls.reload()
        runtime = ctx.settings.runtime
        logs.adjust(str(runtime.log_level), runtime.log_filter)


def version_line() -> str:
    """The first line of the log."""
    return f"Starting CRI-O, version: {__version__}"
