# Python SDK of the older revisions: a session over Streamable HTTP.
from driver import Updates, abandoned, main, text_of
from mcp import ClientSession, types
from mcp.client.streamable_http import streamablehttp_client


class Client:
    def __init__(self, session, updates):
        self.session = session
        self.updated = updates.next

    async def tools(self):
        return {"tools": [tool.name for tool in (await self.session.list_tools()).tools]}

    async def call(self, name, arguments):
        result = await self.session.call_tool(name, arguments)
        return {"text": text_of(result.content), "isError": bool(result.isError)}

    async def resources(self):
        return {"uris": [str(one.uri) for one in (await self.session.list_resources()).resources]}

    async def read(self, uri):
        return {"text": text_of((await self.session.read_resource(uri)).contents)}

    async def subscribe(self, uri):
        await self.session.subscribe_resource(uri)
        return {}

    async def cancel(self, name, arguments, after_ms):
        return await abandoned(self.session.call_tool(name, arguments), after_ms)


async def serve(url, loop):
    updates = Updates()

    async def on_message(message):
        if isinstance(message, types.ServerNotification) and isinstance(
            message.root, types.ResourceUpdatedNotification
        ):
            updates.put(message.root.params.uri)

    async with streamablehttp_client(url) as (read, write, _):
        async with ClientSession(read, write, message_handler=on_message) as session:
            await session.initialize()
            await loop(Client(session, updates))


main(serve)
