# openai-agents: tools as its runner calls them, with its own limit of 5 s.
import json

from agents.mcp import MCPServerStreamableHttp, MCPUtil
from agents.run_context import RunContextWrapper
from driver import abandoned, main, text_of


class Client:
    def __init__(self, server):
        self.server = server

    async def tools(self):
        self.listed = {tool.name: tool for tool in await self.server.list_tools()}
        return {"tools": list(self.listed)}

    async def call(self, name, arguments):
        result = await self.server.call_tool(name, arguments)
        is_error = getattr(result, "isError", getattr(result, "is_error", False))
        context = RunContextWrapper(context=None)
        if not is_error:
            return {"text": text_of(result.content), "isError": False}
        shown = await MCPUtil.invoke_mcp_tool(self.server, self.listed[name], context, json.dumps(arguments))
        text = shown["text"] if isinstance(shown, dict) else "\n".join(part["text"] for part in shown)
        return {"text": text, "isError": True}

    async def resources(self):
        return {"uris": [str(one.uri) for one in (await self.server.list_resources()).resources]}

    async def read(self, uri):
        return {"text": text_of((await self.server.read_resource(uri)).contents)}

    async def cancel(self, name, arguments, after_ms):
        return await abandoned(self.server.call_tool(name, arguments), after_ms)


async def serve(url, loop):
    async with MCPServerStreamableHttp(params={"url": url}) as server:
        await loop(Client(server))


main(serve)
