// AI SDK: tools as its functions call them.

import { createMCPClient } from "@ai-sdk/mcp";
import { cancelAfter, serve, textOf } from "./driver.mjs";

const client = await createMCPClient({ transport: { type: "http", url: process.argv[2] } });
let tools = {};
const call = ({ name, arguments: given }, abortSignal) =>
  tools[name].execute(given, { toolCallId: "1", messages: [], abortSignal });

await serve({
  tools: async () => {
    tools = await client.tools();
    return { tools: Object.keys(tools) };
  },
  call: async (request) => {
    const { content, isError } = await call(request);
    return { text: textOf(content), isError: isError === true };
  },
  resources: async () => ({ uris: (await client.listResources()).resources.map(({ uri }) => uri) }),
  read: async ({ uri }) => ({ text: textOf((await client.readResource({ uri })).contents) }),
  cancel: (request) => cancelAfter(request.after_ms, (signal) => call(request, signal)),
});
