"""An MCP server on the Python SDK. server.py ADDRESS PORT"""
import sys
from mcp.server.fastmcp import FastMCP

app = FastMCP("parts", host=sys.argv[1], port=int(sys.argv[2]), log_level="WARNING")


@app.tool()
def find_part(name: str) -> str:
    """Finds a part by its name."""
    return f"{name} lies on shelf 4"


@app.tool()
def order_part(name: str, count: int) -> str:
    """Orders a part."""
    return f"{count} of {name} ordered"


@app.resource("stock://shelves")
def shelves() -> str:
    """All shelves."""
    return "1 2 3 4"


app.run("streamable-http")
