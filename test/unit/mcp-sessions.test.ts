// Sessions over MCP by a real client of each revision: tools, resources, and subscriptions that tell only of what the
// subscriber may read.

import { expect, test } from "bun:test";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { leaseFeature } from "../../src/features/lease/index.ts";
import { sessionFeature } from "../../src/features/session/index.ts";
import { connect, ERAS, textOf, until } from "../kit/mcp-client.ts";
import { startMcpServer } from "../kit/mcp-server.ts";
import { Someone, startSessions, user } from "../kit/sessions.ts";

const features = [agentFeature, contextFeature, leaseFeature, sessionFeature];

test.each(ERAS)("a %s client starts a session, reads it as a resource, and hears of what it may read", async (era) => {
  await using core = startSessions();
  await using server = startMcpServer(core, { features, callers: { ann: user("ann"), bob: user("bob") } });
  await using one = await connect(server.url, era, "ann");
  await using two = await connect(server.url, era, "bob");
  const started = await one.client.callTool({
    name: "session_start",
    arguments: { purpose: "Talk", space: "team-a" },
  });
  const { session } = textOf(started) as { session: string };
  const uri = `session:///${session}`;
  await one.watch([uri]);
  await two.watch([uri]);
  const metadata = '{"build": 7}';
  const secret = { session, text: "for ann", visibility: "private", to: ["ann@example.com"], metadata };
  const posted = await two.client.callTool({ name: "message_post", arguments: secret });
  expect(posted.isError ?? false).toBe(false);
  await until(
    () => one.updated.length > 0 && two.updated.length > 0,
    () => [one.updated, two.updated],
  );
  const { contents } = await one.client.readResource({ uri });
  const [read] = contents as { uri: string; mimeType: string; text: string }[];
  expect([read?.uri, read?.mimeType]).toEqual([uri, "application/json"]);
  expect(JSON.parse(read?.text ?? "")).toMatchObject({
    ...{ session, purpose: "Talk", message_count: 1 },
    messages: [{ text: "for ann", author: "user:bob@example.com", metadata: { build: 7 } }],
  });
  const { resources } = await one.client.listResources();
  expect(resources.map((each) => each.uri)).toContain(uri);
  await using third = await connect(server.url, era, "default");
  await third.watch([uri]);
  const [seen, before] = [third.updated.length, one.updated.length];
  await new Someone(core, user("bob")).post(session, "again for ann", {
    visibility: "private",
    to: ["ann@example.com"],
  });
  await until(
    () => one.updated.length > before,
    () => one.updated,
  );
  expect(third.updated.length).toBe(seen);
  const inbox = textOf(await one.client.callTool({ name: "inbox", arguments: {} }));
  expect((inbox["messages"] as { text: string }[]).map(({ text }) => text)).toEqual(["for ann", "again for ann"]);
});
