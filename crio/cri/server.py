"""The gRPC server: from method names to handlers, from errors to status codes.

Handlers are found by name (``async def Version(request, context)``) on the service objects; the contract's methods that nobody
handles yet answer UNIMPLEMENTED. A handler may return a message or bytes that are one already. Source: gRPC over HTTP/2.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf.message import Message

from crio.core.errors import Code, CriError
from crio.cri import api_pb2 as pb

STATUS: dict[Code, grpc.StatusCode] = {code: grpc.StatusCode[code.value] for code in Code}
# Metadata of 8 KiB is what gRPC clients take, and a byte beyond ASCII needs three of them there.
MAX_SENTENCE_BYTES: Final = 2400
log = logging.getLogger(__name__)

Handler = Callable[[Any, grpc.aio.ServicerContext[Any, Any]], Awaitable[Message | bytes]]
Observer = Callable[[str, float, bool], None]


def _encode(answer: Message | bytes) -> bytes:
    return answer if isinstance(answer, bytes) else answer.SerializeToString()


def _cut(sentence: str) -> str:
    """A sentence short enough for a client to accept: it may quote a value of any length."""
    body = sentence.encode(errors="replace")
    return body.decode() if len(body) <= MAX_SENTENCE_BYTES else body[:MAX_SENTENCE_BYTES].decode(errors="ignore") + " ..."


def _guard(name: str, handler: Handler, observe: Observer) -> Handler:
    """The handler with errors translated, once, and its outcome counted."""

    async def call(request: Message, context: grpc.aio.ServicerContext[Any, Any]) -> Message | bytes:
        started = asyncio.get_running_loop().time()
        failed = True
        try:
            answer = await handler(request, context)
            failed = False
            return answer
        except CriError as error:
            log.debug("%s: %s: %s", name, error.code.value, error.message)
            await context.abort(STATUS[error.code], _cut(error.message))
            raise
        except (asyncio.CancelledError, grpc.aio.AbortError):
            raise
        except Exception as error:  # the root of a request
            log.exception("%s failed with a bug", name)
            await context.abort(grpc.StatusCode.INTERNAL, _cut(f"{type(error).__name__}: {error}"))
            raise
        finally:
            observe(name, asyncio.get_running_loop().time() - started, failed)

    return call


def _service(name: str, servicer: object, observe: Observer) -> grpc.GenericRpcHandler:
    descriptor = pb.DESCRIPTOR.services_by_name[name]
    methods = {}
    for method in descriptor.methods:
        handler = getattr(servicer, method.name, None)
        if handler is None:
            continue
        request_class = getattr(pb, method.input_type.name)
        make = grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
        call = handler if method.server_streaming else _guard(method.name, handler, observe)
        methods[method.name] = make(call, request_deserializer=request_class.FromString, response_serializer=_encode)
    return grpc.method_handlers_generic_handler(descriptor.full_name, methods)


def make_server(runtime: object, images: object, observe: Observer, *, max_receive_bytes: int, max_send_bytes: int) -> grpc.aio.Server:
    """A server of both CRI services on no address yet. ``observe(method, seconds, failed)`` is told of every unary call."""
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", max_receive_bytes),
            ("grpc.max_send_message_length", max_send_bytes),
            ("grpc.so_reuseport", 0),
        ]
    )
    server.add_generic_rpc_handlers((_service("RuntimeService", runtime, observe), _service("ImageService", images, observe)))
    return server
