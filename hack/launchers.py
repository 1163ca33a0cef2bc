"""Writes bin/: ``.venv/bin/python -m hack.launchers``.

A launcher is four lines: the tree's interpreter in isolated mode, the tree on the path, the program's ``main``. Nothing
has to be activated, and a symbolic link to a launcher works from anywhere. Files that are right already stay untouched.
"""

from __future__ import annotations

import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = ROOT / "bin"
PROGRAMS = {"crio": "crio.cli.crio", "crioctl": "crio.cli.crioctl", "crio-status": "crio.cli.status"}
ALIASES = {"ocid": "crio", "ocic": "crioctl"}
# The kernel cuts an interpreter line at 255 bytes (BINPRM_BUF_SIZE), and then runs something else or nothing.
INTERPRETER_LINE_MAX_BYTES = 250


def launcher(module: str) -> str:
    """The text of a launcher; raises SystemExit when the tree lies too deep for an interpreter line."""
    first = f"#!{ROOT}/.venv/bin/python -I"
    if len(first.encode()) > INTERPRETER_LINE_MAX_BYTES or " " in str(ROOT):
        raise SystemExit(f"{ROOT}: expected a folder with a shorter name and no blank, for the launchers in bin/")
    return f"{first}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom {module} import main\nsys.exit(main())\n"


def write_program(path: pathlib.Path, text: str) -> None:
    """Put an executable file in place by rename, unless it is there already with this text."""
    if path.is_file() and not path.is_symlink() and path.read_text() == text:
        return
    staged = path.with_name(f".{path.name}.new")
    staged.write_text(text)
    staged.chmod(0o755)
    staged.replace(path)


def write_alias(path: pathlib.Path, target: str) -> None:
    """Put a relative symbolic link in place by rename, unless it is there already."""
    if path.is_symlink() and str(path.readlink()) == target:
        return
    staged = path.with_name(f".{path.name}.new")
    staged.unlink(missing_ok=True)
    staged.symlink_to(target)
    staged.replace(path)


def main() -> None:
    """Write every launcher and alias."""
    BIN.mkdir(exist_ok=True)
    for name, module in PROGRAMS.items():
        write_program(BIN / name, launcher(module))
    for name, target in ALIASES.items():
        write_alias(BIN / name, target)


if __name__ == "__main__":
    main()
