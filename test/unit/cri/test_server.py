"""The gRPC edge: errors keep their code, however much they quote."""

from __future__ import annotations

from pathlib import Path

import grpc
import grpc.aio
import pytest

from crio.core.errors import InvalidArgument
from crio.cri import api_pb2 as pb
from crio.cri.server import MAX_SENTENCE_BYTES, make_server


class Refusing:
    """A service that refuses with a sentence as long as the request says."""

    async def Version(self, request: pb.VersionRequest, _: object) -> pb.VersionResponse:
        """Refuse."""
        letter, count = request.version[0], int(request.version[1:])
        raise InvalidArgument(letter * count)


SENTENCES = {"a short one": "x30", "the longest": f"x{MAX_SENTENCE_BYTES}", "a longer one": "x100000", "one beyond ASCII": "€5000"}


@pytest.mark.parametrize("case", SENTENCES)
async def test_an_error_keeps_its_code_with(case: str, tmp_path: Path) -> None:
    server = make_server(Refusing(), object(), lambda *_: None, max_receive_bytes=1 << 20, max_send_bytes=1 << 20)
    server.add_insecure_port(f"unix:{tmp_path}/s")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"unix:{tmp_path}/s") as channel:
            call = channel.unary_unary(
                "/runtime.v1.RuntimeService/Version", pb.VersionRequest.SerializeToString, pb.VersionResponse.FromString
            )
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(pb.VersionRequest(version=SENTENCES[case]), timeout=5)
    finally:
        await server.stop(None)
    letter, count = SENTENCES[case][0], int(SENTENCES[case][1:])
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    details = caught.value.details() or ""
    assert details == letter * count or (details.startswith(letter * 100) and details.endswith(" ..."))
