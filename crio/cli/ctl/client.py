"""One connection to a CRI runtime, synchronous. Method paths and types come from the contract's descriptors, so there are no stubs."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Final, Generic, TypeVar, cast

import grpc
from google.protobuf.message import Message

from crio.cli.ctl.errors import BadInput, CtlError, NoSuchObject, Refused, TimedOut, Unreachable
from crio.cri import api_pb2 as pb

Answer = TypeVar("Answer", bound=Message)

DEFAULT_SOCKET: Final = "/var/run/crio/crio.sock"
DEFAULT_TIMEOUT_S: Final = 120.0
DIAL_TIMEOUT_S: Final = 5.0
SOCKET_PATH_MAX: Final = 107
# Runtimes of the Go family refuse the authority that a socket's path makes. The list of a full node passes 4 MiB.
CHANNEL_OPTIONS: Final = (
    ("grpc.default_authority", "localhost"),
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", 80 << 20),
)


def socket_path(endpoint: str) -> str:
    """The path of ``unix:///path``, ``unix:path`` or a plain path; raises BadInput for anything else."""
    if endpoint.startswith("unix://"):
        path = endpoint.removeprefix("unix://")
    elif endpoint.startswith("unix:"):
        path = endpoint.removeprefix("unix:")
    elif "://" in endpoint:
        raise BadInput(f"--connect {endpoint!r}: expected a path or unix:///path, CRI runtimes listen on sockets")
    else:
        path = endpoint
    if not path:
        raise BadInput(f"--connect {endpoint!r}: expected the path of a socket")
    if len(os.fsencode(path)) > SOCKET_PATH_MAX:
        raise BadInput(f"--connect {path!r}: longer than {SOCKET_PATH_MAX} bytes, the most that a socket's path may have")
    return path


def _knock(path: str) -> None:
    """Raise Unreachable with the kernel's reason when nobody listens on ``path``."""
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    probe.settimeout(DIAL_TIMEOUT_S)
    try:
        probe.connect(path)
    except OSError as error:
        raise Unreachable(f"no runtime answers on {path}: {error.strerror or error}") from error
    finally:
        probe.close()


def _translate(method: str, error: grpc.RpcError) -> CtlError:
    code, details = error.code(), (error.details() or "").strip()
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return TimedOut(f"{method}: no answer in time; the runtime may still be working on it: {details}")
    if code is grpc.StatusCode.NOT_FOUND:
        return NoSuchObject(f"{method}: {details}")
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return Refused(code.name, f"{method}: the runtime does not have this call: {details}")
    return Refused(code.name, f"{method}: {details} ({code.name})")


class Pending(Generic[Answer]):
    """A call that is under way."""

    def __init__(self, method: str, future: grpc.Future) -> None:
        self._method, self._future = method, future

    def wait(self, timeout_s: float) -> Answer | None:
        """The answer, or None when it is not there yet after ``timeout_s``; raises CtlError."""
        try:
            return cast(Answer, self._future.result(timeout=timeout_s))
        except grpc.FutureTimeoutError:
            return None
        except grpc.RpcError as error:
            raise _translate(self._method, error) from None
        except BaseException:
            self._future.cancel()
            raise


class Client:
    """Calls by their names in the contract; close it, or use it as a context manager."""

    def __init__(self, endpoint: str, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self.path = socket_path(endpoint)
        self.timeout_s = timeout_s
        _knock(self.path)
        self._channel = grpc.insecure_channel(f"unix:{self.path}", options=CHANNEL_OPTIONS)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._channel.close()

    def call(self, method: str, request: Message, answer: type[Answer], timeout_s: float | None = None) -> Answer:
        """One call and its answer; raises CtlError. ``timeout_s`` replaces the connection's own limit."""
        return cast(Answer, self._invoke(self._method(method, answer), method, request, timeout_s))

    def begin(self, method: str, request: Message, answer: type[Answer], timeout_s: float | None = None) -> Pending[Answer]:
        """Send a call and come back at once."""
        future = self._method(method, answer).future(request, timeout=self._limit(timeout_s))
        return Pending(method, future)

    def _limit(self, timeout_s: float | None) -> float | None:
        limit_s = self.timeout_s if timeout_s is None else timeout_s
        return limit_s or None

    def _invoke(self, run: Callable[..., Message], method: str, request: Message, timeout_s: float | None) -> Message:
        try:
            return run(request, timeout=self._limit(timeout_s))
        except grpc.RpcError as error:
            raise _translate(method, error) from None

    def _method(self, method: str, answer: type[Answer]) -> grpc.UnaryUnaryMultiCallable:
        return self._channel.unary_unary(
            f"/{_service_of(method)}/{method}", request_serializer=_serialize, response_deserializer=answer.FromString
        )


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


def _service_of(method: str) -> str:
    """The full name of the service that has a method; an unknown one is a bug of the caller."""
    for service in pb.DESCRIPTOR.services_by_name.values():
        if method in service.methods_by_name:
            return str(service.full_name)
    raise KeyError(method)
