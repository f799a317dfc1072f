"""An MCP client on the Python SDK. client.py sse|http|websocket|newest URL

Prints what it got as JSON, or what the SDK raises.
"""
import asyncio
import json
import logging
import os
import sys
from contextlib import asynccontextmanager

from mcp import ClientSession

KIND, URL = sys.argv[1:]


class Refused(logging.Handler):
    """Over HTTP+SSE the SDK logs that a message was refused, and waits on for its answer."""

    def emit(self, record):
        print(record.getMessage(), record.exc_info[1] if record.exc_info else "", sep=": ", flush=True)
        os._exit(1)


logging.getLogger("mcp.client.sse").addHandler(Refused(logging.ERROR))


@asynccontextmanager
async def session():
    if KIND == "sse":
        from mcp.client.sse import sse_client as open_streams
    elif KIND == "websocket":
        from mcp.client.websocket import websocket_client as open_streams
    else:
        from mcp.client.streamable_http import streamablehttp_client as open_streams
    async with open_streams(URL) as (read, write, *_), ClientSession(read, write) as session:
        hello = await session.initialize()
        yield session, hello.serverInfo.name


@asynccontextmanager
async def newest():
    from mcp.client import Client

    async with Client(URL) as client:
        yield client, client.server_info.name


def leaves(error):
    inner = getattr(error, "exceptions", None)
    return [leaf for one in inner for leaf in leaves(one)] if inner else [error]


async def main():
    async with newest() if KIND == "newest" else session() as (client, server):
        tools = [tool.name for tool in (await client.list_tools()).tools]
        answer = await client.call_tool("find_part", {"name": "gasket"})
        print(json.dumps({"server": server, "tools": tools, "text": answer.content[0].text}))


try:
    asyncio.run(asyncio.wait_for(main(), 60))
except BaseException as error:
    for leaf in leaves(error):
        print(f"{type(leaf).__name__}: {leaf}")
    sys.exit(1)
