"""A thin synchronous client of the CRI, for any runtime: every method of the contract under its own name.

``Cri(socket).runtime.Version(pb.VersionRequest())``; a failing call raises ``grpc.RpcError`` with the status code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import grpc
from google.protobuf import message_factory
from google.protobuf.message import Message

from crio.cri import api_pb2 as pb

CALL_TIMEOUT_S = 120.0
CHANNEL_OPTIONS = [("grpc.max_receive_message_length", 16 << 20), ("grpc.max_send_message_length", 16 << 20)]


class Service:
    """The methods of one service as attributes; streaming ones give an iterator."""

    def __init__(self, channel: grpc.Channel, name: str, timeout_s: float) -> None:
        self._calls: dict[str, Callable[..., Any]] = {}
        self._timeout_s = timeout_s
        service = pb.DESCRIPTOR.services_by_name[name]
        for method in service.methods:
            make = channel.unary_stream if method.server_streaming else channel.unary_unary
            self._calls[method.name] = make(
                f"/{service.full_name}/{method.name}",
                request_serializer=_serialize,
                response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
            )

    def __getattr__(self, name: str) -> Callable[..., Any]:
        try:
            call = self.__dict__["_calls"][name]
        except KeyError:
            raise AttributeError(name) from None

        def invoke(request: Message, timeout_s: float | None = None) -> Any:
            return call(request, timeout=self._timeout_s if timeout_s is None else timeout_s)

        return invoke


def _serialize(request: Message) -> bytes:
    return request.SerializeToString()


class Cri:
    """Both services of a runtime behind a socket's path or ``unix://`` address."""

    def __init__(self, endpoint: str, timeout_s: float = CALL_TIMEOUT_S) -> None:
        self.endpoint = f"unix://{endpoint.removeprefix('unix://')}"
        self._channel = grpc.insecure_channel(self.endpoint, options=CHANNEL_OPTIONS)
        self.runtime = Service(self._channel, "RuntimeService", timeout_s)
        self.image = Service(self._channel, "ImageService", timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def pull(self, reference: str) -> str:
        """Pull an image; the result is its ``image_ref``."""
        answer = self.image.PullImage(pb.PullImageRequest(image=pb.ImageSpec(image=reference)))
        return str(answer.image_ref)

    def remove_all_pods(self) -> None:
        """Stop and remove every pod with its containers."""
        for pod in self.runtime.ListPodSandbox(pb.ListPodSandboxRequest()).items:
            self.runtime.StopPodSandbox(pb.StopPodSandboxRequest(pod_sandbox_id=pod.id))
            self.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=pod.id))
