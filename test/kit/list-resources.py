# Lists and reads the resources of the MCP server at argv[1] with the Python SDK, and prints one JSON line for each:
# the URI as pydantic has it, the target as urllib parses it, and the text that was read.
import asyncio
import json
import sys
from urllib.parse import unquote, urlsplit, urlunsplit

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client


async def main(url: str) -> None:
    async with streamablehttp_client(url) as (read, write, _):
        async with ClientSession(read, write) as session:
            await session.initialize()
            for resource in (await session.list_resources()).resources:
                uri = str(resource.uri)
                parts = urlsplit(uri)
                again = urlunsplit(parts)
                contents = (await session.read_resource(resource.uri)).contents
                respelled = (await session.read_resource(again)).contents
                row = {
                    "name": resource.name,
                    "uri": uri,
                    "host": parts.netloc,
                    "target": unquote(parts.path[1:], errors="strict"),
                    "text": contents[0].text,
                    "respelled": respelled[0].text,
                }
                print(json.dumps(row))


asyncio.run(main(sys.argv[1]))
