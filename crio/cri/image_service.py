"""``runtime.v1.ImageService``: each RPC is parsed, handed to its operation, answered."""

from __future__ import annotations

import base64
import binascii
import time
from typing import Any, TypeAlias

import grpc.aio
import orjson

from crio.core.errors import InvalidArgument
from crio.core.image.auth import Credentials
from crio.cri import answers, parse
from crio.cri import api_pb2 as pb
from crio.ops import images
from crio.ops.context import Context

Rpc: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


def credentials(auth: pb.AuthConfig) -> Credentials | None:
    """What the client gave to log in with, None for nothing."""
    username, password = auth.username, auth.password
    if auth.auth and not username:
        try:
            username, _, password = base64.b64decode(auth.auth, validate=True).decode().rstrip("\0").partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise InvalidArgument("auth.auth is not base64 of 'user:password'") from None
    if not (username or password or auth.identity_token or auth.registry_token):
        return None
    return Credentials(username, password, auth.identity_token, auth.registry_token)


class ImageService:
    """The handlers of the image service; method names are the RPC's."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    async def PullImage(self, request: pb.PullImageRequest, _: Rpc) -> pb.PullImageResponse:
        """Pull an image; the answer is its id."""
        spec = parse.image_spec(request.image)
        pod = request.sandbox_config
        result = await images.pull_image(
            self._ctx, spec, credentials(request.auth), pod.metadata.namespace, cgroup_parent=pod.linux.cgroup_parent
        )
        return pb.PullImageResponse(image_ref=result.image_id)

    async def ImageStatus(self, request: pb.ImageStatusRequest, _: Rpc) -> pb.ImageStatusResponse:
        """One image, with the annotations of its manifest; an empty answer when the store has none."""
        spec = parse.image_spec(request.image)
        if not spec.image:
            raise InvalidArgument("image.image is empty: expected a reference or an id")
        described = images.status(self._ctx, spec.image)
        if described is None:
            return pb.ImageStatusResponse()
        response = pb.ImageStatusResponse(image=answers.image(described))
        if request.verbose:
            document = {"labels": dict(described.labels), "imageSpec": orjson.Fragment(described.config)}
            response.info["info"] = orjson.dumps(document).decode()
        return response

    async def ListImages(self, request: pb.ListImagesRequest, _: Rpc) -> pb.ListImagesResponse:
        """All images, or the one that the filter names."""
        found = images.list_images(self._ctx, request.filter.image.image)
        return pb.ListImagesResponse(images=[answers.image(described) for described in found])

    async def RemoveImage(self, request: pb.RemoveImageRequest, _: Rpc) -> pb.RemoveImageResponse:
        """Remove an image or one of its names."""
        await images.remove_image(self._ctx, parse.image_spec(request.image).image)
        return pb.RemoveImageResponse()

    async def ImageFsInfo(self, request: pb.ImageFsInfoRequest, _: Rpc) -> pb.ImageFsInfoResponse:
        """Use of the file systems that hold images and containers (one, unless the image store is split), from their own counters."""
        store, now_ns = self._ctx.store, time.time_ns()
        image, container = (answers.file_system(usage, now_ns) for usage in (store.usage(), store.container_usage()))
        return pb.ImageFsInfoResponse(image_filesystems=[image], container_filesystems=[container])
