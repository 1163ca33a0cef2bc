"""``crioctl image``: pull, list, status, remove."""

from __future__ import annotations

import base64

from crio.cli.ctl.client import Client
from crio.cli.ctl.errors import BadInput, NoSuchObject
from crio.cli.ctl.options import Options
from crio.cli.ctl.present import SHORT_ID, facts, json_text, labels, say, size, table
from crio.cli.ctl.pulls import watch_pull
from crio.cri import api_pb2 as pb

PULL_TIMEOUT_S = 1800.0


def _credentials(text: str) -> pb.AuthConfig:
    if ":" not in text:
        raise BadInput("--creds: expected USER:PASSWORD")
    return pb.AuthConfig(auth=base64.b64encode(text.encode()).decode())


def pull(client: Client, options: Options) -> int:
    """Pull an image, showing how far it is; prints the image's id."""
    reference = options.reference()
    request = pb.PullImageRequest(image=pb.ImageSpec(image=reference))
    if options.text("creds"):
        request.auth.CopyFrom(_credentials(options.text("creds")))
    limit_s = max(client.timeout_s, PULL_TIMEOUT_S) if client.timeout_s else 0.0
    pending = client.begin("PullImage", request, pb.PullImageResponse, limit_s)
    answer = watch_pull(client.path, reference, pending.wait, quiet=options.flag("quiet") or options.flag("json"))
    say(json_text(answer) if options.flag("json") else answer.image_ref)
    return 0


def list_all(client: Client, options: Options) -> int:
    """Print the images, or the one of a reference."""
    request = pb.ListImagesRequest()
    if options.text("image"):
        request.filter.image.image = options.text("image")
    answer = client.call("ListImages", request, pb.ListImagesResponse)
    if options.flag("json"):
        say(json_text(answer))
    elif options.flag("quiet"):
        say("\n".join(image.id for image in answer.images))
    else:
        say(list_text(answer))
    return 0


def _names(image: pb.Image) -> list[str]:
    digests = [f"{name.partition('@')[0]}:<none>" for name in image.repo_digests]
    return list(image.repo_tags) or digests or ["<none>:<none>"]


def list_text(answer: pb.ListImagesResponse) -> str:
    """The table of ``image list``, by name; one line for every tag."""
    rows = []
    for image in answer.images:
        for name in _names(image):
            repository, _, tag = name.rpartition(":")
            short = image.id.removeprefix("sha256:")[:SHORT_ID]
            rows.append((repository, tag, short, size(image.size), "pinned" if image.pinned else ""))
    return table(("IMAGE", "TAG", "ID", "SIZE", ""), sorted(rows))


def status(client: Client, options: Options) -> int:
    """Print one image in full; raises NoSuchObject when the store has none."""
    reference = options.reference()
    request = pb.ImageStatusRequest(image=pb.ImageSpec(image=reference), verbose=options.flag("verbose"))
    answer = client.call("ImageStatus", request, pb.ImageStatusResponse)
    if not answer.HasField("image"):
        raise NoSuchObject(f"ImageStatus: image {reference!r} is not in the store")
    say(json_text(answer) if options.flag("json") or options.flag("verbose") else status_text(answer.image))
    return 0


def status_text(image: pb.Image) -> str:
    """The lines of ``image status``."""
    return facts(
        [
            ("id", image.id),
            *(("tag", tag) for tag in image.repo_tags),
            *(("digest", digest) for digest in image.repo_digests),
            ("size", size(image.size)),
            ("user", image.username or (str(image.uid.value) if image.HasField("uid") else "")),
            ("pinned", "yes" if image.pinned else ""),
            ("annotations", labels(image.spec.annotations)),
        ]
    )


def remove(client: Client, options: Options) -> int:
    """Remove an image or one name of it; prints what was asked for."""
    reference = options.reference()
    client.call("RemoveImage", pb.RemoveImageRequest(image=pb.ImageSpec(image=reference)), pb.RemoveImageResponse)
    say(reference)
    return 0
