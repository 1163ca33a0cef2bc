"""The command line of ``crioctl``, declared once."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

from crio.cli.ctl import containers, general, images, pods
from crio.cli.ctl.client import DEFAULT_SOCKET, DEFAULT_TIMEOUT_S, Client
from crio.cli.ctl.options import Options

Verb = Callable[[Client, Options], int]
ENV_CONNECT = "CRIO_CONNECT"
EPILOG = """exit codes: 0 done; 1 the runtime refused; 2 wrong command line or file; 3 nobody answers on the socket;
4 no such pod, container or image; 124 no answer in time. execsync gives the exit code of its command."""


def make_parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    """The whole command line; the chosen verb is in ``verb``."""
    parser = argparse.ArgumentParser(
        prog="crioctl",
        description="A small client of a CRI runtime: pods, containers and images from JSON files.",
        epilog=EPILOG,
        allow_abbrev=False,
    )
    connect = environ.get(ENV_CONNECT, "") or DEFAULT_SOCKET
    parser.add_argument("--connect", metavar="SOCKET", default=connect, help=f"socket of the runtime, also ${ENV_CONNECT} (%(default)s)")
    parser.add_argument("--timeout", metavar="S", dest="timeout_s", type=_seconds, default=DEFAULT_TIMEOUT_S, help="limit of one call")
    topics = parser.add_subparsers(metavar="COMMAND", required=True)
    _pods(topics.add_parser("pod", help="pods", allow_abbrev=False))
    _containers(topics.add_parser("ctr", aliases=["container"], help="containers", allow_abbrev=False))
    _images(topics.add_parser("image", help="images", allow_abbrev=False))
    for name, verb, help_text in (
        ("runtimeversion", general.runtimeversion, "who answers"),
        ("info", general.info, "whether the runtime is ready, and its handlers"),
    ):
        _json(_verb(topics, name, verb, help_text))
    return parser


_Subparsers = argparse._SubParsersAction  # argparse has no public name for what add_subparsers returns


def _verb(group: _Subparsers[argparse.ArgumentParser], name: str, verb: Verb, help_text: str, *aliases: str) -> argparse.ArgumentParser:
    parser = group.add_parser(name, help=help_text, aliases=aliases, allow_abbrev=False)
    parser.set_defaults(verb=verb)
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r}: expected seconds, 0 for no limit")
    return value


def _whole_seconds(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r}: expected seconds, 0 or more")
    return value


def _json(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    parser.add_argument("-v", "--verbose", action="store_true", help="ask for everything; prints JSON")
    return parser


def _object(parser: argparse.ArgumentParser, kind: str) -> argparse.ArgumentParser:
    parser.add_argument("--id", default="", help=f"id of the {kind}, or the start of it")
    parser.add_argument("object", nargs="?", default="", metavar="ID", help="the same")
    return parser


def _filters(parser: argparse.ArgumentParser, states: Mapping[str, object]) -> None:
    parser.add_argument("-q", "--quiet", action="store_true", help="print ids only")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    parser.add_argument("--id", default="", help="only the one with this id, or start of it")
    parser.add_argument("--state", default="", help=f"only those: {', '.join(states)}")
    parser.add_argument("--label", action="append", metavar="KEY=VALUE", help="only those with this label; may be repeated")


def _pods(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    run = _verb(verbs, "run", pods.run, "run a pod, print its id", "create")
    run.add_argument("--config", required=True, metavar="FILE", help="JSON of a PodSandboxConfig, - for standard input")
    run.add_argument("--runtime", default="", metavar="HANDLER", help="runtime handler")
    _object(_verb(verbs, "stop", pods.stop, "stop a pod"), "pod")
    _object(_verb(verbs, "remove", pods.remove, "remove a pod with its containers"), "pod")
    _json(_object(_verb(verbs, "status", pods.status, "one pod in full"), "pod"))
    _filters(_verb(verbs, "list", pods.list_all, "the pods"), pods.STATE_NAMES)


def _containers(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    create = _verb(verbs, "create", containers.create, "create a container, print its id")
    create.add_argument("--pod", required=True, metavar="ID", help="pod to create it in")
    create.add_argument("--config", required=True, metavar="FILE", help="JSON of a ContainerConfig, - for standard input")
    create.add_argument("--pod-config", default="", metavar="FILE", help="what the pod was run with (default: as its status tells)")
    _object(_verb(verbs, "start", containers.start, "start a container"), "container")
    stop = _object(_verb(verbs, "stop", containers.stop, "stop a container"), "container")
    stop.add_argument("--timeout", dest="grace_s", type=_whole_seconds, default=10, metavar="S", help="seconds until KILL (%(default)s)")
    _object(_verb(verbs, "remove", containers.remove, "remove a container"), "container")
    _json(_object(_verb(verbs, "status", containers.status, "one container in full"), "container"))
    listed = _verb(verbs, "list", containers.list_all, "the containers")
    _filters(listed, containers.STATE_NAMES)
    listed.add_argument("--pod", default="", metavar="ID", help="only those of this pod")
    execsync = _verb(verbs, "execsync", containers.execsync, "run a command in a container")
    execsync.add_argument("--id", required=True, help="id of the container, or the start of it")
    execsync.add_argument("--timeout", dest="exec_timeout_s", type=_whole_seconds, default=0, metavar="S", help="limit, 0 for none")
    execsync.add_argument("--json", action="store_true", help="print output and exit code as JSON")
    execsync.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="the command and its arguments")


def _images(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    pull = _reference(_verb(verbs, "pull", images.pull, "pull an image, print its id"))
    pull.add_argument("--creds", default="", metavar="USER:PASSWORD", help="log in to the registry")
    pull.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    pull.add_argument("--json", action="store_true", help="print the answer as JSON")
    listed = _verb(verbs, "list", images.list_all, "the images")
    listed.add_argument("image", nargs="?", default="", metavar="IMAGE", help="only this one")
    listed.add_argument("-q", "--quiet", action="store_true", help="print ids only")
    listed.add_argument("--json", action="store_true", help="print the answer as JSON")
    _json(_reference(_verb(verbs, "status", images.status, "one image in full")))
    _reference(_verb(verbs, "remove", images.remove, "remove an image or one name of it"))


def _reference(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--id", default="", metavar="IMAGE", help="reference or id")
    parser.add_argument("image", nargs="?", default="", metavar="IMAGE", help="the same")
    return parser
