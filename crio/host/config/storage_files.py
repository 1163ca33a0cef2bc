"""Which ``storage.conf`` is read, with its drop-ins. Source: storage-and-images B.1."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Final

from crio.core.settings.findings import Finding, Severity
from crio.core.settings.storage_conf import StorageConf, merge_documents, read_storage_conf
from crio.host.config.documents import Document, read_document

CONTAINERS_DIRS: Final = ("/etc/containers", "/usr/share/containers")
_NAME: Final = "storage.conf"
# Within one directory the files for root win over the general ones of the same name.
_DROP_IN_DIRS: Final = ("storage.rootful.conf.d", "storage.conf.d")


@dataclasses.dataclass(frozen=True, slots=True)
class StorageFiles:
    """The effective ``storage.conf``, the files that it was made of, and what was wrong with them."""

    conf: StorageConf
    files: tuple[str, ...]
    findings: tuple[Finding, ...]


def load_storage_conf(environ: Mapping[str, str], containers_dirs: Sequence[str] = CONTAINERS_DIRS) -> StorageFiles:
    """Read what applies: CONTAINERS_STORAGE_CONF alone, or else the first main file and every drop-in; then the file
    that CONTAINERS_STORAGE_CONF_OVERRIDE names.
    """
    findings: list[Finding] = []
    documents: list[Document] = []
    for path, is_required in _paths(environ, containers_dirs):
        document = read_document(path)
        if isinstance(document, Document):
            documents.append(document)
        elif isinstance(document, Finding):
            findings.append(document)
        elif is_required:
            findings.append(Finding(severity=Severity.ERROR, path=(), problem="no such file", file=path))
    conf, wrong = read_storage_conf(merge_documents([one.content for one in documents]), environ)
    findings += [_located(finding, documents) for finding in wrong]
    return StorageFiles(conf, tuple(one.path for one in documents), tuple(findings))


def _paths(environ: Mapping[str, str], containers_dirs: Sequence[str]) -> list[tuple[str, bool]]:
    paths: list[tuple[str, bool]] = []
    if chosen := environ.get("CONTAINERS_STORAGE_CONF"):
        paths.append((chosen, True))
    else:
        candidates = (os.path.join(directory, _NAME) for directory in containers_dirs)
        main = next((path for path in candidates if os.path.exists(path)), None)
        paths += [(main, False)] if main else []
        paths += [(path, False) for path in _drop_ins(containers_dirs)]
    if override := environ.get("CONTAINERS_STORAGE_CONF_OVERRIDE"):
        paths.append((override, True))
    return paths


def _drop_ins(containers_dirs: Sequence[str]) -> list[str]:
    by_name: dict[str, str] = {}
    for directory in containers_dirs:
        for drop_in_dir in _DROP_IN_DIRS:
            below = os.path.join(directory, drop_in_dir)
            if os.path.isdir(below):
                for name in os.listdir(below):
                    if name.endswith(".conf"):
                        by_name.setdefault(name, os.path.join(below, name))
    return [by_name[name] for name in sorted(by_name)]


def _located(finding: Finding, documents: Sequence[Document]) -> Finding:
    for document in reversed(documents):
        if line := document.line_of(finding.path):
            return dataclasses.replace(finding, file=document.path, line=line)
    return finding
