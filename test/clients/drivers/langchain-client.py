# langchain-mcp-adapters: tools as an agent of LangChain gets them, with one session.
from driver import abandoned, main
from langchain_core.tools import ToolException
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.resources import load_mcp_resources
from langchain_mcp_adapters.tools import load_mcp_tools


class Client:
    def __init__(self, session):
        self.session = session

    async def tools(self):
        self.loaded = {tool.name: tool for tool in await load_mcp_tools(self.session)}
        return {"tools": list(self.loaded)}

    async def call(self, name, arguments):
        call = {"type": "tool_call", "id": "1", "name": name, "args": arguments}
        try:
            message = await self.loaded[name].ainvoke(call)
        except ToolException as error:
            return {"text": str(error), "isError": True}
        return {"text": message.text, "isError": message.status == "error"}

    async def resources(self):
        return {"uris": [str(one.metadata["uri"]) for one in await load_mcp_resources(self.session)]}

    async def read(self, uri):
        [blob] = await load_mcp_resources(self.session, uris=[uri])
        return {"text": blob.as_string()}

    async def cancel(self, name, arguments, after_ms):
        return await abandoned(self.call(name, arguments), after_ms)


async def serve(url, loop):
    client = MultiServerMCPClient({"cairn": {"transport": "streamable_http", "url": url}})
    async with client.session("cairn") as session:
        await loop(Client(session))


main(serve)
