"""Settings from everything that can set them: host, storage.conf, main file, drop-ins, environment, flags.

The result holds the settings that the daemon runs with and all that was found on the way, with file and line. With an
error among the findings the settings must not be used: ``LoadedSettings.require`` raises then.
Source: crio-interfaces §2.1, §2.14.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from crio.core.errors import InvalidArgument
from crio.core.settings.catalogue import by_flag
from crio.core.settings.check import check
from crio.core.settings.convert import RefusedValueError
from crio.core.settings.decode import Assignment, assemble, decode
from crio.core.settings.findings import UNKNOWN_KEY, Finding, Severity
from crio.core.settings.layers import Layer, Merged, Source, SourceKind, merge
from crio.core.settings.process import ProcessOptions
from crio.core.settings.runtime_flag import parse_runtime
from crio.core.settings.schema import Path, SubTable
from crio.core.settings.storage_conf import StorageConf
from crio.core.settings.values import Settings
from crio.host.config.documents import Document, files_below, read_document
from crio.host.config.storage_files import CONTAINERS_DIRS, load_storage_conf

_SELINUX_MARK: Final = "/sys/fs/selinux/enforce"
_ZONE_DIR: Final = "/usr/share/zoneinfo"
_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})
_NO_ORIGINS: Final[Mapping[str, str]] = MappingProxyType({})
_DEFAULTS: Final = ProcessOptions()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ConfigSources:
    """Where to look. ``flags`` maps the canonical name of a flag to its typed value; ``origins`` names the variable
    for those that the environment set. Tests point ``containers_dirs`` and ``environ`` elsewhere.
    """

    config: str = _DEFAULTS.config
    config_dir: str = _DEFAULTS.config_dir
    is_config_required: bool = False
    is_strict: bool = False
    flags: Mapping[str, object] = dataclasses.field(default_factory=lambda: _NOTHING)
    origins: Mapping[str, str] = dataclasses.field(default_factory=lambda: _NO_ORIGINS)
    environ: Mapping[str, str] = dataclasses.field(default_factory=lambda: _NO_ORIGINS)
    containers_dirs: tuple[str, ...] = CONTAINERS_DIRS

    def for_reload(self) -> ConfigSources:
        """The same files without flags and variables, which a reload does not apply again."""
        return dataclasses.replace(self, flags=_NOTHING, origins=_NO_ORIGINS)


class ConfigError(InvalidArgument):
    """The configuration has errors; the message lists all of them, one a line."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(str(finding) for finding in findings))
        self.findings = tuple(findings)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSettings:
    """The outcome of a load. ``files`` were read, in that order; ``layers`` are kept for ``from_files``."""

    settings: Settings
    findings: tuple[Finding, ...]
    provenance: Mapping[Path, Source]
    files: tuple[str, ...]
    storage_conf: StorageConf
    layers: tuple[Layer, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that forbid the use of the settings."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)

    def require(self) -> Settings:
        """The settings, or ConfigError with everything that is wrong."""
        if errors := self.errors:
            raise ConfigError(errors)
        return self.settings

    def is_set(self, *path: str) -> bool:
        """Whether somebody chose the value at ``path``: a default may be replaced by what fits the host."""
        return path in self.provenance and self.provenance[path].kind is not SourceKind.HOST

    def source_of(self, *path: str) -> str:
        """Where the value at ``path`` comes from, for people."""
        return str(self.provenance[path]) if path in self.provenance else "default"

    def from_files(self) -> Settings:
        """What the files alone say: the side that a reload compares with."""
        files = [layer for layer in self.layers if layer.source.kind not in (SourceKind.FLAG, SourceKind.ENVIRONMENT)]
        return check(assemble(merge(files).effective)).settings

    def inherited(self) -> Settings:
        """The built-in settings on this host: defaults with what storage.conf and the kernel say."""
        ours = (SourceKind.HOST, SourceKind.STORAGE_CONF)
        return check(assemble(merge([one for one in self.layers if one.source.kind in ours]).effective)).settings


def load_settings(sources: ConfigSources) -> LoadedSettings:
    """Read everything once. Never raises for what is wrong with a configuration: look at the findings."""
    storage = load_storage_conf(sources.environ, sources.containers_dirs)
    findings = list(storage.findings)
    layers = [
        Layer(Source(SourceKind.HOST, "selinux"), _host_assignments()),
        Layer(Source(SourceKind.STORAGE_CONF, ", ".join(storage.files) or "environment"), storage.conf.assignments()),
    ]
    documents = _documents(sources, findings)
    for document in documents:
        layers.append(_file_layer(document, sources.is_strict, findings))
    layers += _flag_layers(sources, findings)
    merged = merge(layers)
    checked = check(assemble(merged.effective))
    found = [*merged.findings, *checked.findings, *_check_time_zone(checked.settings)]
    findings += [_locate(finding, merged, documents) for finding in found]
    return LoadedSettings(
        settings=checked.settings,
        findings=tuple(findings),
        provenance=MappingProxyType(merged.provenance),
        files=tuple(document.path for document in documents),
        storage_conf=storage.conf,
        layers=tuple(layers),
    )


def _host_assignments() -> list[Assignment]:
    return [Assignment(("crio", "runtime", "selinux"), os.path.exists(_SELINUX_MARK))]


def _documents(sources: ConfigSources, findings: list[Finding]) -> list[Document]:
    documents: list[Document] = []
    if sources.config:
        main = read_document(sources.config)
        if main is None and sources.is_config_required:
            main = Finding(severity=Severity.ERROR, path=(), problem="no such file", file=sources.config)
        _keep(main, documents, findings)
    if sources.config_dir:
        try:
            for path in files_below(sources.config_dir):
                _keep(read_document(path), documents, findings)
        except OSError as error:
            problem = f"cannot be listed: {error.strerror}"
            findings.append(Finding(severity=Severity.ERROR, path=(), problem=problem, file=sources.config_dir))
    return documents


def _keep(read: Document | Finding | None, documents: list[Document], findings: list[Finding]) -> None:
    if isinstance(read, Document):
        documents.append(read)
    elif read is not None:
        findings.append(read)


def _file_layer(document: Document, is_strict: bool, findings: list[Finding]) -> Layer:
    decoded = decode(document.content)
    for finding in decoded.findings:
        severity = Severity.ERROR if is_strict and finding.problem == UNKNOWN_KEY else finding.severity
        line = document.line_of(finding.path)
        findings.append(dataclasses.replace(finding, severity=severity, file=document.path, line=line))
    return Layer(Source(SourceKind.FILE, document.path), decoded.assignments)


def _flag_layers(sources: ConfigSources, findings: list[Finding]) -> list[Layer]:
    layers: list[Layer] = []
    known = by_flag() if sources.flags else {}
    for name, value in sources.flags.items():
        declared = known.get(name)
        if declared is None:
            continue
        variable = sources.origins.get(name, "")
        kind = SourceKind.ENVIRONMENT if variable else SourceKind.FLAG
        source = Source(kind, variable or f"--{name}")
        if isinstance(declared, SubTable):
            layers.append(Layer(source, _handlers(declared, value, source, findings)))
        else:
            layers.append(Layer(source, [Assignment(declared.path, value)]))
    return layers


def _handlers(declared: SubTable, value: object, source: Source, findings: list[Finding]) -> list[Assignment]:
    assert isinstance(value, tuple)
    assignments: list[Assignment] = []
    for text in value:
        try:
            name, handler = parse_runtime(text)
        except RefusedValueError as refused:
            findings.append(
                Finding(
                    severity=Severity.ERROR,
                    path=declared.path,
                    problem="bad value",
                    value=refused.value,
                    expected=refused.expected,
                    nearest=refused.nearest,
                    file=str(source),
                )
            )
        else:
            assignments.append(Assignment((*declared.path, name), handler))
    return assignments


def _check_time_zone(settings: Settings) -> list[Finding]:
    zone = settings.runtime.timezone
    if zone in ("", "Local") or os.path.isfile(os.path.join(_ZONE_DIR, zone)):
        return []
    return [
        Finding(
            severity=Severity.ERROR,
            path=("crio", "runtime", "timezone"),
            problem="no such time zone",
            value=zone,
            expected=f"a name below {_ZONE_DIR}, or Local",
        )
    ]


def _locate(finding: Finding, merged: Merged, documents: Sequence[Document]) -> Finding:
    """Add file and line: of the source that set the key, or of the entry around it."""
    if not finding.file:
        source = next((merged.provenance[path] for path in _prefixes(finding.path) if path in merged.provenance), None)
        if source is None:
            return finding
        finding = dataclasses.replace(finding, file=str(source))
    document = next((one for one in documents if one.path == finding.file), None)
    return finding if document is None else dataclasses.replace(finding, line=document.line_of(finding.path))


def _prefixes(path: Path) -> list[Path]:
    return [path[:size] for size in range(len(path), 0, -1)]
