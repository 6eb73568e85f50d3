# fastmcp, with its own client.
from driver import abandoned, main, text_of
from fastmcp import Client as FastMcpClient


class Client:
    def __init__(self, client):
        self.client = client

    async def tools(self):
        return {"tools": [tool.name for tool in await self.client.list_tools()]}

    async def call(self, name, arguments):
        result = await self.client.call_tool(name, arguments, raise_on_error=False)
        return {"text": text_of(result.content), "isError": result.is_error}

    async def resources(self):
        return {"uris": [str(one.uri) for one in await self.client.list_resources()]}

    async def read(self, uri):
        return {"text": text_of(await self.client.read_resource(uri))}

    async def cancel(self, name, arguments, after_ms):
        return await abandoned(self.client.call_tool(name, arguments), after_ms)


async def serve(url, loop):
    async with FastMcpClient(url) as client:
        await loop(Client(client))


main(serve)
