"""Runs a program with every signal ignored and blocked that can be: ``deaf.py PROGRAM ARGUMENT...``.

Written to the kernel, because the C library refuses the numbers that it uses itself.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

RT_SIGACTION = {"x86_64": 13, "aarch64": 134}[os.uname().machine]
MASK_BYTES = 8
LAST = 64
# Words to put before a command.
PREFIX = (sys.executable, __file__)


class _Action(ctypes.Structure):
    _fields_ = (("handler", ctypes.c_void_p), ("flags", ctypes.c_ulong), ("restorer", ctypes.c_void_p), ("mask", ctypes.c_uint64))


def main() -> None:
    """Ignore, block, become the program."""
    system_call = ctypes.CDLL(None, use_errno=True).syscall
    ignore = ctypes.byref(_Action(signal.SIG_IGN))
    for number in range(1, LAST + 1):
        if number not in (signal.SIGKILL, signal.SIGSTOP) and system_call(RT_SIGACTION, number, ignore, None, MASK_BYTES) != 0:
            raise OSError(ctypes.get_errno(), f"ignoring signal {number}")
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    os.execv(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
