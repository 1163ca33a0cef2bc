"""``crioctl`` (alias ``ocic``): a small client of a CRI runtime for tests and hands."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from crio.cli.ctl.client import Client
from crio.cli.ctl.errors import EXIT_REFUSED, CtlError
from crio.cli.ctl.options import Options
from crio.cli.ctl.parser import make_parser

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command; the result is the exit code. A wrong command line ends the program with code 2."""
    given = make_parser(os.environ).parse_args(sys.argv[1:] if argv is None else argv)
    verb: Callable[[Client, Options], int] = given.verb
    try:
        with Client(given.connect, given.timeout_s) as client:
            return verb(client, Options(given))
    except CtlError as error:
        print(f"crioctl: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output is gone; the interpreter would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_REFUSED
    except KeyboardInterrupt:
        return INTERRUPTED
