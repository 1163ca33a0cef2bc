"""Old keys in terms of the new ones, and values that mean another one.

Pure rewriting: the result says the same, in one way. What is changed against the operator's word (a timeout that is too
short) leaves a warning. Source: crio-interfaces §2.3–§2.14 (deprecated translations, raised and replaced values).
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from crio.core.settings.api import GRPC_MESSAGE_SIZE_BYTES
from crio.core.settings.checkpoint import CheckpointLevel
from crio.core.settings.findings import Finding, Severity
from crio.core.settings.handler import (
    CRUN_MIN_MEMORY_BYTES,
    DEFAULT_MIN_MEMORY_BYTES,
    DEFAULT_RUNTIME,
    MIN_CREATE_TIMEOUT_S,
    RuntimeHandler,
    RuntimeType,
)
from crio.core.settings.runtime import MIN_STOP_TIMEOUT_S, RuntimeSettings
from crio.core.settings.units import parse_size_bytes
from crio.core.settings.values import Settings

_COLLECTOR_PREFIXES: Final = ("container_runtime_", "crio_")


def translate(settings: Settings, findings: list[Finding]) -> Settings:
    """The same configuration without deprecated keys and without values that stand for others; warns in ``findings``."""
    api, network, checkpoint = settings.api, settings.network, settings.checkpoint
    if not settings.runtime.enable_criu_support:
        checkpoint = dataclasses.replace(checkpoint, container_level_enabled=CheckpointLevel.NONE)
    if network.plugin_dir:
        plugin_dirs = (*network.plugin_dirs, network.plugin_dir)
        network = dataclasses.replace(network, plugin_dirs=plugin_dirs, plugin_dir="")
    return dataclasses.replace(
        settings,
        api=dataclasses.replace(
            api,
            stream_address=api.stream_address if _is_ip_address(api.stream_address) else "",
            grpc_max_send_msg_size=_or_default(api.grpc_max_send_msg_size),
            grpc_max_recv_msg_size=_or_default(api.grpc_max_recv_msg_size),
        ),
        network=network,
        checkpoint=checkpoint,
        runtime=_translate_runtime(settings.runtime, findings),
        metrics=dataclasses.replace(
            settings.metrics,
            metrics_collectors=tuple(collector_name(name) for name in settings.metrics.metrics_collectors),
        ),
    )


def collector_name(name: str) -> str:
    """The name of a metrics collector without the prefixes that a configuration may give it."""
    for prefix in _COLLECTOR_PREFIXES:
        name = name.removeprefix(prefix)
    return name


def min_memory_bytes(name: str, handler: RuntimeHandler) -> int:
    """The smallest memory limit for containers of the handler called ``name``."""
    if handler.container_min_memory:
        return parse_size_bytes(handler.container_min_memory)
    return CRUN_MIN_MEMORY_BYTES if name == DEFAULT_RUNTIME else DEFAULT_MIN_MEMORY_BYTES


def _translate_runtime(runtime: RuntimeSettings, findings: list[Finding]) -> RuntimeSettings:
    default_runtime = runtime.default_runtime or DEFAULT_RUNTIME
    handlers = {name: _translate_handler(name, handler, runtime, findings) for name, handler in runtime.runtimes.items()}
    return dataclasses.replace(
        runtime,
        default_runtime=default_runtime,
        default_capabilities=tuple(one.upper().removeprefix("CAP_") for one in runtime.default_capabilities if one),
        default_sysctls=tuple(one for one in runtime.default_sysctls if one),
        ctr_stop_timeout=_raised(("crio", "runtime", "ctr_stop_timeout"), runtime.ctr_stop_timeout, MIN_STOP_TIMEOUT_S, findings),
        conmon="",
        conmon_cgroup="",
        conmon_env=(),
        runtimes=MappingProxyType(_inherit(handlers, handlers.get(default_runtime))),
    )


def _translate_handler(name: str, handler: RuntimeHandler, runtime: RuntimeSettings, findings: list[Finding]) -> RuntimeHandler:
    path = ("crio", "runtime", "runtimes", name)
    timeout = _raised((*path, "container_create_timeout"), handler.container_create_timeout, MIN_CREATE_TIMEOUT_S, findings)
    handler = dataclasses.replace(handler, container_create_timeout=timeout, container_min_memory=_size_or_default(path, handler, findings))
    if handler.runtime_type is not RuntimeType.OCI:
        return handler
    return dataclasses.replace(
        handler,
        monitor_path=runtime.conmon or handler.monitor_path,
        monitor_cgroup=runtime.conmon_cgroup or handler.monitor_cgroup,
        monitor_env=runtime.conmon_env or handler.monitor_env,
    )


def _inherit(handlers: Mapping[str, RuntimeHandler], default: RuntimeHandler | None) -> dict[str, RuntimeHandler]:
    if default is None:
        return dict(handlers)
    return {
        name: dataclasses.replace(
            handler,
            runtime_path=default.runtime_path,
            runtime_type=default.runtime_type,
            runtime_config_path=default.runtime_config_path,
            runtime_root=default.runtime_root,
        )
        if handler.inherit_default_runtime
        else handler
        for name, handler in handlers.items()
    }


def _size_or_default(path: tuple[str, ...], handler: RuntimeHandler, findings: list[Finding]) -> str:
    text = handler.container_min_memory
    try:
        return text if not text or parse_size_bytes(text) else ""
    except ValueError:
        findings.append(
            Finding(
                severity=Severity.WARNING,
                path=(*path, "container_min_memory"),
                problem="12MiB is used instead of the bad value",
                value=text,
                expected="a size such as 12MiB",
            )
        )
        return "12MiB"


def _raised(path: tuple[str, ...], value: int, minimum: int, findings: list[Finding]) -> int:
    if value >= minimum:
        return value
    findings.append(
        Finding(
            severity=Severity.WARNING,
            path=path,
            problem=f"raised to {minimum}, the value is",
            value=str(value),
            expected=f"{minimum} or more",
        )
    )
    return minimum


def _or_default(size_bytes: int) -> int:
    return size_bytes if size_bytes > 0 else GRPC_MESSAGE_SIZE_BYTES


def _is_ip_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
