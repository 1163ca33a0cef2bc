"""``crio check``: look the container storage through, and mend it when told to; ``crio check --host``: what this host can do."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence

from crio.cli.flags import CommandLine, registries_files
from crio.core.errors import CriError, FailedPrecondition
from crio.core.settings.values import Settings
from crio.core.storage.findings import Finding, Kind
from crio.host.config.load import load_settings
from crio.host.registry.conffiles import RegistriesFiles
from crio.host.store import open_store
from crio.host.store.port import StorePort
from crio.main import find_program, store_options


def run_check(line: CommandLine, environ: Mapping[str, str]) -> int:
    """Print what is found; the exit code is 0 when nothing is wrong or everything was mended."""
    if line.options["host"] is True:
        return _check_host()
    loaded = load_settings(line.config_sources(environ))
    settings = loaded.require()
    store = open_store(store_options(loaded))
    try:
        findings = _relevant(store, quick=line.options["quick"] is True)
        for finding in findings:
            print(finding.sentence())
        if not findings:
            print("the storage is sound")
            return 0
        if line.options["repair"] is not True:
            counts = Counter(finding.kind for finding in findings)
            words = ", ".join(f"{counts[kind]} {kind.value} errors" for kind in Kind if counts[kind])
            print(f"{words}: run again with --repair to mend them")
            return 1
        _mend_layers(store, findings, settings, registries_files(line, environ))
        return _repair(store, settings, line)
    finally:
        store.shutdown()


def _relevant(store: StorePort, *, quick: bool) -> tuple[Finding, ...]:
    return tuple(finding for finding in store.check(quick) if finding.fatal)


def _repair(store: StorePort, settings: Settings, line: CommandLine) -> int:
    quick = line.options["quick"] is True
    force = line.options["force"] is True
    left = _relevant(store, quick=quick)
    for sentence in store.repair([finding for finding in left if force or finding.kind is not Kind.CONTAINER]):
        print(sentence)
    left = _relevant(store, quick=quick)
    if not left:
        print("the storage is sound again")
        return 0
    for finding in left:
        print(f"still: {finding.sentence()}")
    if line.options["wipe"] is True:
        return _wipe_all(store, settings, force=force)
    return 1


def _mend_layers(store: StorePort, findings: Sequence[Finding], settings: Settings, files: RegistriesFiles) -> None:
    """Fetch each damaged layer again, and only those; what cannot be had is left for the repair to remove."""
    damaged = sorted({finding.id for finding in findings if finding.kind is Kind.LAYER and store.layer(finding.id) is not None})
    if not damaged:
        return
    from crio.host.pull.lazy import pull_options
    from crio.host.pull.mend import mend_layer

    options = pull_options(settings, files, find_program("unpack", private=True))
    for layer_id in damaged:
        try:
            print(asyncio.run(mend_layer(store, options, layer_id)))
        except CriError as error:
            print(f"layer {layer_id} cannot be fetched again: {error}")


def _wipe_all(store: StorePort, settings: Settings, *, force: bool) -> int:
    """Remove the graph root as a whole; raises FailedPrecondition while containers use it and nobody insists."""
    if store.containers() and not force:
        raise FailedPrecondition(f"{settings.root.root} holds containers: remove them first, or insist with --force")
    store.shutdown()
    shutil.rmtree(settings.root.root)
    print(f"removed {settings.root.root}")
    return 0


def _check_host() -> int:
    from crio.host.facts import probe_host

    rows = asyncio.run(probe_host()).table()
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for fact, found, consequence in rows:
        print(f"{fact:<{widths[0]}}  {found:<{widths[1]}}  {consequence}".rstrip())
    return 0
