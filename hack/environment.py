"""Makes the tree's Python environment: ``/usr/bin/python3 hack/environment.py run build [dev]``.

Standard library only, because it runs before anything is installed. Each layer of requirements leaves a stamp with the
hash of its lock file and of the interpreter; a layer whose stamp is right costs nothing. Two callers at once wait for
each other.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pathlib
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LAYERS = ("run", "build", "dev")


def stamp_path(layer: str) -> pathlib.Path:
    """Where the hash of the installed layer is kept."""
    return VENV / f".requirements-{layer}"


def fingerprint(layer: str) -> str:
    """What the environment must have been made from for this layer to be right."""
    lock = (ROOT / "requirements" / f"{layer}.txt").read_bytes()
    return hashlib.sha256(sys.version.encode() + b"\0" + lock).hexdigest()


def stale(layer: str) -> bool:
    """Whether a layer was never installed, or from another lock file or by another interpreter."""
    try:
        return stamp_path(layer).read_text() != fingerprint(layer)
    except FileNotFoundError:
        return True


def made_by_this_python() -> bool:
    """Whether .venv exists and runs the interpreter that runs us."""
    here = VENV / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    return here.exists() and os.path.realpath(here) == os.path.realpath(sys.executable)


def install(layer: str) -> None:
    """Install one lock file, hashes checked; raises CalledProcessError when pip refuses."""
    print(f"==> .venv: {layer} requirements", file=sys.stderr, flush=True)
    command = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--require-hashes", "--only-binary=:all:", "--no-deps"]
    subprocess.run([*command, "-r", str(ROOT / "requirements" / f"{layer}.txt")], check=True)
    stamp_path(layer).write_text(fingerprint(layer))


def main(layers: list[str]) -> None:
    """Bring .venv up to date for the layers named on the command line."""
    unknown = set(layers) - set(LAYERS)
    if unknown or not layers:
        raise SystemExit(f"usage: hack/environment.py {' | '.join(LAYERS)} ...")
    if made_by_this_python() and not any(map(stale, layers)):
        return
    (ROOT / "build").mkdir(exist_ok=True)
    with (ROOT / "build" / "venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made_by_this_python():
            venv.EnvBuilder(clear=True, with_pip=True, symlinks=True).create(VENV)
        for layer in filter(stale, layers):
            install(layer)


if __name__ == "__main__":
    main(sys.argv[1:])
