"""An MCP client on the Python SDK. policies.py sse|http|websocket|newest URL

Prints as JSON which tools are offered, what a tool that is not offered answers, and what the other one was called with.
"""
import asyncio
import json
import sys
from contextlib import asynccontextmanager

from mcp import ClientSession

KIND, URL = sys.argv[1:]


@asynccontextmanager
async def session():
    if KIND == "newest":
        from mcp.client import Client

        async with Client(URL) as client:
            yield client
        return
    if KIND == "sse":
        from mcp.client.sse import sse_client as open_streams
    elif KIND == "websocket":
        from mcp.client.websocket import websocket_client as open_streams
    else:
        from mcp.client.streamable_http import streamablehttp_client as open_streams
    async with open_streams(URL) as (read, write, *_), ClientSession(read, write) as session:
        await session.initialize()
        yield session


async def main():
    async with session() as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        answer = await client.call_tool("find_part", {"name": "card 4111111111111111"})
        print(json.dumps({"tools": tools, "text": answer.content[0].text}), flush=True)
        try:
            answer = await asyncio.wait_for(client.call_tool("delete_part", {"name": "gasket"}), 20)
            print(f"called: {answer.content[0].text}", flush=True)
        except Exception as error:
            print(f"{type(error).__name__}: {error}", flush=True)


def leaves(error):
    inner = getattr(error, "exceptions", None)
    return [leaf for one in inner for leaf in leaves(one)] if inner else [error]


try:
    asyncio.run(asyncio.wait_for(main(), 60))
except BaseException as error:
    for leaf in leaves(error):
        print(f"{type(leaf).__name__}: {leaf}")
    sys.exit(1)
