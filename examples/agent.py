#!/usr/bin/env python3
"""An MCP server and an agent that calls it, to try the proxy with: nothing but Python's own library.

    agent.py serve [PORT]     a server with one tool, at http://127.0.0.1:8765/mcp
    agent.py ask URL          says hello to a server and calls its first tool, through the proxy that HTTP_PROXY or
                              HTTPS_PROXY names
"""

import http.server
import json
import sys
import urllib.error
import urllib.request

ANSWERS = {
    "initialize": {
        "protocolVersion": "2025-11-25",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "weather", "version": "1.0"},
    },
    "tools/list": {"tools": [{"name": "forecast", "inputSchema": {"type": "object"}}]},
    "tools/call": {"content": [{"type": "text", "text": "sunny"}]},
}


class Server(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "id" not in message:
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": ANSWERS.get(message["method"], {})}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def ask(url, number, method, params):
    message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    request = urllib.request.Request(url, json.dumps(message).encode(), headers)
    try:
        with urllib.request.urlopen(request) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        sys.exit(f"{method}: status {error.code}, location {error.headers.get('Location')}")
    if "error" in answer:
        sys.exit(f"{method}: {answer['error']['message']}")
    return answer["result"]


def main():
    what, *rest = sys.argv[1:] or ["help"]
    if what == "serve":
        port = int(rest[0]) if rest else 8765
        print(f"an MCP server at http://127.0.0.1:{port}/mcp", flush=True)
        http.server.ThreadingHTTPServer(("127.0.0.1", port), Server).serve_forever()
    elif what == "ask" and rest:
        client = {"name": "agent", "version": "1.0"}
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
        print("server:", ask(rest[0], 1, "initialize", hello)["serverInfo"]["name"])
        tool = ask(rest[0], 2, "tools/list", {})["tools"][0]["name"]
        print(f"{tool}:", ask(rest[0], 3, "tools/call", {"name": tool, "arguments": {}})["content"][0]["text"])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
