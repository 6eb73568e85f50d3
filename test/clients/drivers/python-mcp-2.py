# Python SDK of 2026-07-28.
import asyncio

from driver import Updates, abandoned, main, text_of
from mcp import Client as McpClient


class Client:
    def __init__(self, client):
        self.client = client
        self.updates = Updates()
        self.updated = self.updates.next

    async def tools(self):
        return {"tools": [tool.name for tool in (await self.client.list_tools()).tools]}

    async def call(self, name, arguments):
        result = await self.client.call_tool(name, arguments)
        return {"text": text_of(result.content), "isError": bool(result.is_error)}

    async def resources(self):
        return {"uris": [str(one.uri) for one in (await self.client.list_resources()).resources]}

    async def read(self, uri):
        return {"text": text_of((await self.client.read_resource(uri)).contents)}

    async def subscribe(self, uri):
        subscribed = asyncio.Event()
        self.listening = asyncio.ensure_future(self.listen(uri, subscribed))
        await asyncio.wait_for(subscribed.wait(), 10)
        return {}

    async def listen(self, uri, subscribed):
        async with self.client.listen(resource_subscriptions=[uri]) as subscription:
            subscribed.set()
            async for event in subscription:
                self.updates.put(event.uri)

    async def cancel(self, name, arguments, after_ms):
        return await abandoned(self.client.call_tool(name, arguments), after_ms)


async def serve(url, loop):
    async with McpClient(url) as client:
        await loop(Client(client))


main(serve)
