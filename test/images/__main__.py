"""``python -m test.images build DIR | push HOST:PORT | list | prepare``"""

from __future__ import annotations

import argparse
import pathlib

from test.images import busybox
from test.images.catalog import Named, catalog, find
from test.images.layout import write_layout
from test.images.push import Registry


def push_named(registry: Registry, named: Named) -> None:
    """Upload one image under the repository paths and tags of all its references."""
    for reference in named.references:
        registry.push(reference.repository, (reference.tag,), named.built)


def push_all(address: str, references: tuple[str, ...] = ()) -> None:
    """Upload the whole kit, or the images of these references, to the registry at ``address`` (host:port)."""
    chosen = tuple(find(reference) for reference in references) or catalog()
    with Registry(address) as registry:
        for named in chosen:
            push_named(registry, named)


def main() -> None:
    """The command line of the kit."""
    parser = argparse.ArgumentParser(prog="python -m test.images", description="the offline image kit")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("build", help="write an OCI layout of every image").add_argument("folder", type=pathlib.Path)
    push = verbs.add_parser("push", help="upload to a registry over plain HTTP")
    push.add_argument("address", metavar="HOST:PORT")
    push.add_argument("references", nargs="*", help="only these images")
    verbs.add_parser("prepare", help="compile what takes long, once for this machine")
    verbs.add_parser("list", help="print references and digests")
    arguments = parser.parse_args()
    if arguments.verb == "push":
        push_all(arguments.address, tuple(arguments.references))
        return
    if arguments.verb == "prepare":
        busybox.path()
        return
    named = [(str(reference), image.built) for image in catalog() for reference in image.references]
    if arguments.verb == "build":
        write_layout(arguments.folder, named)
    for reference, built in named:
        print(built.top.digest, reference)


if __name__ == "__main__":
    main()
