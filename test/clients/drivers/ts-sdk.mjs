// TypeScript SDK, 1.x or 2.x as the first argument says.

import { cancelAfter, serve, textOf, Updates } from "./driver.mjs";

const [major, url] = [process.argv[2], process.argv[3]];
const info = { name: "ts-sdk", version: major };
const updates = new Updates();
let connected;
let transport;
if (major === "1") {
  const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
  const { StreamableHTTPClientTransport } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
  const { ResourceUpdatedNotificationSchema } = await import("@modelcontextprotocol/sdk/types.js");
  connected = new Client(info);
  connected.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => updates.put(params.uri));
  transport = new StreamableHTTPClientTransport(new URL(url));
} else {
  const { Client, StreamableHTTPClientTransport } = await import("@modelcontextprotocol/client");
  connected = new Client(info, { versionNegotiation: { mode: "auto" } });
  connected.setNotificationHandler("notifications/resources/updated", ({ params }) => updates.put(params.uri));
  transport = new StreamableHTTPClientTransport(new URL(url));
}
await connected.connect(transport);

const call = ({ name, arguments: given }, options) =>
  major === "1"
    ? connected.callTool({ name, arguments: given }, undefined, options)
    : connected.callTool({ name, arguments: given }, options);

await serve({
  tools: async () => ({ tools: (await connected.listTools()).tools.map(({ name }) => name) }),
  call: async (request) => {
    const { content, isError } = await call(request);
    return { text: textOf(content), isError: isError === true };
  },
  resources: async () => ({ uris: (await connected.listResources()).resources.map(({ uri }) => uri) }),
  read: async ({ uri }) => ({ text: textOf((await connected.readResource({ uri })).contents) }),
  subscribe: async ({ uri }) => {
    if (major === "1") await connected.subscribeResource({ uri });
    else await connected.listen({ resourceSubscriptions: [uri] });
    return {};
  },
  updated: () => updates.next(),
  cancel: (request) => cancelAfter(request.after_ms, (signal) => call(request, { signal })),
});
