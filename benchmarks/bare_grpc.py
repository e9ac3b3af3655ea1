"""A grpc.aio server that sends prepared bytes: what gRPC itself costs."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import grpc.aio
import uvloop


async def main(answer: bytes) -> None:
    """Serves ``answer`` until it is killed."""

    async def give(_request: bytes, _context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        return answer

    server = grpc.aio.server(options=[("grpc.max_send_message_length", -1)])
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {"Get": grpc.unary_unary_rpc_method_handler(give)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bare", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"http://127.0.0.1:{port} by gRPC at 127.0.0.1:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(Path(os.environ["BARE_ANSWER"]).read_bytes()))
