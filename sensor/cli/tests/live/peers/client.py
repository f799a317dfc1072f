"""An MCP client on the Python SDK. client.py URL"""
import asyncio
import sys
from mcp import ClientSession, types
from mcp.client.streamable_http import streamablehttp_client


async def main():
    me = types.Implementation(name="py-client", version="1.0.0")
    async with streamablehttp_client(sys.argv[1]) as (read, write, _):
        async with ClientSession(read, write, client_info=me) as session:
            await session.initialize()
            await session.list_tools()
            await session.call_tool("find_part", {"name": "gasket"})
            await session.call_tool("order_part", {"name": "gasket", "count": 2})
            await session.list_resources()
            await session.read_resource("stock://shelves")


asyncio.run(main())
