# pydantic-ai: tools as an agent calls them.
import json

from driver import abandoned, main, text_of
from pydantic_ai import ModelRetry
from pydantic_ai.mcp import MCPToolset


def plain(result):
    """Returns a result in the text that a model gets of it."""
    if isinstance(result, list):
        return "\n".join(plain(part) for part in result)
    return result if isinstance(result, str) else json.dumps(result)


class Client:
    def __init__(self, toolset):
        self.toolset = toolset

    async def tools(self):
        return {"tools": [tool.name for tool in await self.toolset.list_tools()]}

    async def call(self, name, arguments):
        try:
            result = await self.toolset.direct_call_tool(name, arguments)
        except ModelRetry as error:
            return {"text": str(error), "isError": True}
        return {"text": plain(result), "isError": False}

    async def resources(self):
        return {"uris": [str(one.uri) for one in await self.toolset.list_resources()]}

    async def read(self, uri):
        content = await self.toolset.read_resource(uri)
        return {"text": content if isinstance(content, str) else text_of(content)}

    async def cancel(self, name, arguments, after_ms):
        return await abandoned(self.toolset.direct_call_tool(name, arguments), after_ms)


async def serve(url, loop):
    async with MCPToolset(url) as toolset:
        await loop(Client(toolset))


main(serve)
