"""Compiles the C extension: ``python -m crio.host.native.build``.

cffi writes the glue (API mode, stable ABI), the machine's C compiler builds it beside this file. Not used at run time.
"""

from __future__ import annotations

import os
import pathlib
import re
import shlex
import subprocess
import sysconfig

from cffi import FFI

HERE = pathlib.Path(__file__).parent
SOURCES = ("syscalls.c", "forward.c")


def main() -> None:
    """Write ``_native.c`` and compile ``_native.abi3.so``; raises CalledProcessError with the compiler's words shown."""
    header = (HERE / "native.h").read_text()
    ffi = FFI()
    ffi.cdef(re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL))
    ffi.set_source("crio.host.native._native", '#include <stdint.h>\n#include "native.h"\n')
    glue = HERE / "_native.c"
    ffi.emit_c_code(str(glue))
    compiler = shlex.split(os.environ.get("CC", "gcc"))
    target = HERE / "_native.abi3.so"
    staged = target.with_suffix(".new")
    flags = ["-O2", "-g0", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra", "-DPy_LIMITED_API=0x030b0000"]
    includes = [f"-I{sysconfig.get_path('include')}", f"-I{HERE}"]
    sources = [str(glue), *(str(HERE / name) for name in SOURCES)]
    subprocess.run([*compiler, *flags, "-Wno-missing-field-initializers", *includes, *sources, "-o", str(staged)], check=True)
    staged.replace(target)


if __name__ == "__main__":
    main()
