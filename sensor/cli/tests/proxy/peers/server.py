"""An MCP server over TLS on the Python SDK: /mcp, and with SDK 1 also /sse and /ws.

server.py NAME CERTIFICATE KEY SEEN PORT_FILE

Writes each MCP method that reaches it as a line to SEEN, and its port to PORT_FILE once it listens.
"""
import asyncio
import json
import socket
import sys

import uvicorn

NAME, CERTIFICATE, KEY, SEEN, PORT_FILE = sys.argv[1:]
try:
    from mcp.server.mcpserver import MCPServer as Server
    OLD = False
except ImportError:
    from mcp.server.fastmcp import FastMCP as Server
    OLD = True

app = Server(NAME)


@app.tool()
def find_part(name: str) -> str:
    """Finds a part by its name."""
    return f"{name} lies on shelf 4"


if NAME == "policies":

    @app.tool()
    def delete_part(name: str) -> str:
        """Deletes a part by its name."""
        return f"{name} is no more"


def note(text):
    try:
        messages = json.loads(text)
    except ValueError:
        return
    with open(SEEN, "a") as file:
        for message in messages if isinstance(messages, list) else [messages]:
            file.write(message.get("method", "answer") + "\n")


def counted(inner):
    async def asgi(scope, receive, send):
        body = b""

        async def heard():
            nonlocal body
            event = await receive()
            if event["type"] == "http.request":
                body += event["body"]
                if not event.get("more_body"):
                    note(body)
            elif event["type"] == "websocket.receive":
                note(event["text"])
            return event

        await inner(scope, heard, send)

    return asgi


async def over_websocket(scope, receive, send):
    from mcp.server.websocket import websocket_server

    async with websocket_server(scope, receive, send) as (read, write):
        server = app._mcp_server
        await server.run(read, write, server.create_initialization_options())


def routes():
    streamable = app.streamable_http_app()
    if not OLD:
        return streamable
    sse = app.sse_app()

    async def by_path(scope, receive, send):
        path = scope.get("path", "")
        inner = over_websocket if path == "/ws" else sse if path.startswith(("/sse", "/messages")) else streamable
        await inner(scope, receive, send)

    return by_path


async def main():
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(counted(routes()), ssl_certfile=CERTIFICATE, ssl_keyfile=KEY, log_level="warning")
    with open(PORT_FILE, "w") as file:
        file.write(f"{listener.getsockname()[1]}\n")
    await uvicorn.Server(config).serve([listener])


asyncio.run(main())
