"""The yardstick: a plain grpc.aio server that answers the same messages and does nothing with them."""

from __future__ import annotations

import asyncio

import grpc

from kharvest.wire import v2_pb2 as v2
from kharvest.wire.v2_pb2_grpc import HarvestServicer, add_HarvestServicer_to_server


class Bare(HarvestServicer):
    """Acknowledges everything."""

    async def Announce(self, request: v2.AnnounceRequest, context: object) -> v2.AnnounceReply:  # noqa: ARG002, N802
        """Acknowledge."""
        return v2.AnnounceReply(answers=[v2.ACKNOWLEDGED] * len(request.files))

    async def GetLimits(self, request: v2.GetLimitsRequest, context: object) -> v2.Limits:  # noqa: ARG002, N802
        """No limits."""
        return v2.Limits()

    async def UploadBatch(  # noqa: N802
        self,
        request: v2.UploadBatchRequest,
        context: object,  # noqa: ARG002
    ) -> v2.UploadBatchReply:
        """Takes what comes."""
        return v2.UploadBatchReply(arrivals=[v2.STORED] * len(request.contents))

    async def Upload(self, request_iterator: object, context: object) -> v2.UploadReply:  # noqa: ARG002, N802
        """Take nothing."""
        return v2.UploadReply()


async def serve() -> None:
    """Serve until killed; print where."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    add_HarvestServicer_to_server(Bare(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"listening on 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve())
