"""A static busybox with what the judges need and Debian's own lacks, compiled once from Debian's source package.

The validation suite wants ``pgrep`` and ``ipcs``, and a shell that runs programs as files: with Debian's options
(``FEATURE_SH_STANDALONE``, ``FEATURE_PREFER_APPLETS``) it runs them inside itself, and a test that masks /bin/ls masks
nothing. The source is that of the installed ``busybox-static``, fetched and verified by apt from the machine's own
archives; the program is kept in the cache of the tests, named by that version and by how it is built.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Mapping

from test.support import isolation
from test.support.gotools import cached

SETTINGS: Mapping[str, bool] = {
    "FEATURE_SH_STANDALONE": False,
    "FEATURE_SH_NOFORK": False,
    "FEATURE_PREFER_APPLETS": False,
    "PGREP": True,
    "PKILL": True,
    "IPCS": True,
    "IPCRM": True,
    # Needs a header that newer kernels no longer have.
    "TC": False,
}
# No time of day gets into the program: the moment of the whole kit, and none in the configuration.
REPRODUCIBLE = {"SOURCE_DATE_EPOCH": "1704067200", "KCONFIG_NOTIMESTAMP": "1", "LC_ALL": "C", "TZ": "UTC"}
SOURCES_FOLDER = pathlib.Path("/etc/apt/sources.list.d")
SOURCES_LIST = pathlib.Path("/etc/apt/sources.list")
TIMEOUT_S = 900


def _run(command: list[str], folder: pathlib.Path, log: pathlib.Path) -> None:
    """Run one command with its words going to ``log``; raises RuntimeError with the end of them when it fails."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "CFLAGS", "LDFLAGS"))}
    with log.open("ab") as out:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**kept, **REPRODUCIBLE},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            timeout=TIMEOUT_S,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"busybox: {' '.join(command)} ended with {done.returncode}:\n{log.read_text(errors='replace')[-3000:]}")


def release() -> str:
    """The code name of this Debian."""
    found = re.search(r"^VERSION_CODENAME=(\S+)", pathlib.Path("/etc/os-release").read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError("/etc/os-release: expected a VERSION_CODENAME: this is no release of Debian")
    return found[1]


def source_version() -> str:
    """The version of the source package that the installed busybox-static was made from."""
    command = ["dpkg-query", "-W", "-f", "${source:Version}", "busybox-static"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        raise RuntimeError("busybox-static: not installed (hack/deps.sh run)")
    return done.stdout


def source_stanzas(text: str, code_name: str) -> str:
    """The Debian archives in a deb822 file, asked for sources instead of packages; other archives are left out."""
    kept = []
    for stanza in re.split(r"\n\s*\n", text):
        suites = re.search(r"^Suites:(.*)$", stanza, re.MULTILINE)
        if suites and re.search(rf"(^|\s){code_name}(\s|-|$)", suites[1]) and "Enabled: no" not in stanza:
            kept.append(re.sub(r"^Types:.*$", "Types: deb-src", stanza, flags=re.MULTILINE).strip("\n"))
    return "\n\n".join(kept) + "\n" if kept else ""


def source_lines(text: str, code_name: str) -> str:
    """The same for a file of one-line entries."""
    entry = re.compile(rf"^\s*deb(-src)?(\s+\[[^]]*\])?\s+(\S+\s+{code_name}(-\S+)?\s+.*)$", re.MULTILINE)
    found = {f"deb-src{match[2] or ''} {match[3]}" for match in entry.finditer(text)}
    return "".join(f"{line}\n" for line in sorted(found))


def _apt_options(scratch: pathlib.Path) -> list[str]:
    """Options of apt-get that leave the machine's lists alone and know the sources of this release."""
    parts = scratch / "parts"
    for folder in ("parts", "lists/partial", "cache/archives/partial"):
        (scratch / folder).mkdir(parents=True)
    files = [SOURCES_LIST, *sorted(SOURCES_FOLDER.iterdir() if SOURCES_FOLDER.is_dir() else ())]
    for number, path in enumerate(path for path in files if path.is_file()):
        make = source_stanzas if path.suffix == ".sources" else source_lines
        text = make(path.read_text(errors="replace"), release()) if path.suffix in (".sources", ".list") else ""
        if text:
            (parts / f"{number}{path.suffix}").write_text(text)
    if not any(parts.iterdir()):
        raise RuntimeError(f"busybox: no archive of {release()} in {SOURCES_LIST} or {SOURCES_FOLDER}, so its source cannot be had")
    settings = {
        "Dir::State::Lists": scratch / "lists",
        "Dir::Cache": scratch / "cache",
        "Dir::Etc::SourceList": "/dev/null",
        "Dir::Etc::SourceParts": parts,
        "APT::Sandbox::User": "root",
        "Acquire::Retries": 3,
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _fetch(scratch: pathlib.Path, log: pathlib.Path) -> pathlib.Path:
    """The unpacked source, with Debian's patches; apt and dpkg verify the signatures and hashes on the way."""
    apt = ["apt-get", "-q", *_apt_options(scratch)]
    version = source_version()
    with isolation.first_network():
        _run([*apt, "update"], scratch, log)
        try:
            _run([*apt, "source", "--download-only", f"busybox={version}"], scratch, log)
        except RuntimeError:
            # The archive keeps the newest version only, and this machine may not have it yet.
            _run([*apt, "source", "--download-only", "busybox"], scratch, log)
    descriptions = sorted(scratch.glob("busybox_*.dsc"))
    _run(["dpkg-source", "-x", str(descriptions[-1]), "source"], scratch, log)
    return scratch / "source"


def configured(text: str) -> str:
    """Debian's configuration of the static build with our settings laid over it."""
    for name, wanted in SETTINGS.items():
        line = f"CONFIG_{name}=y" if wanted else f"# CONFIG_{name} is not set"
        text, count = re.subn(rf"^(CONFIG_{name}=y|# CONFIG_{name} is not set)$", line, text, flags=re.MULTILINE)
        if count != 1:
            raise RuntimeError(f"busybox: expected one line about CONFIG_{name} in Debian's configuration, found {count}")
    return text


def _compile(staged: pathlib.Path) -> None:
    print("==> busybox for the image kit, from Debian's source package", file=sys.stderr, flush=True)
    scratch = staged.parent
    log = scratch / "log"
    source = _fetch(scratch, log)
    (source / ".config").write_text(configured((source / "debian/config/pkg/static").read_text()))
    _run(["make", "-s", "silentoldconfig"], source, log)
    _run(["make", "-s", f"-j{os.cpu_count() or 1}", "busybox"], source, log)
    staged.write_bytes((source / "busybox").read_bytes())
    staged.chmod(0o755)


def path() -> pathlib.Path:
    """The program, compiled when the cache has none of this version and recipe (40 s on two cores)."""
    recipe = repr((sorted(SETTINGS.items()), sorted(REPRODUCIBLE.items()), release(), os.uname().machine))
    key = hashlib.sha256(recipe.encode()).hexdigest()[:12]
    return cached(f"busybox-{source_version().replace(':', '-')}-{key}", _compile)
