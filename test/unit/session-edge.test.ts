// Sessions by an edge, which holds none of their rows: reads and waits are its upstream's, and it sees no change that
// not everybody may see.

import { expect, test } from "bun:test";
import { agentFeature } from "../../src/features/agent/index.ts";
import { leaseFeature } from "../../src/features/lease/index.ts";
import { sessionFeature } from "../../src/features/session/index.ts";
import { startEdgePair } from "../kit/edge.ts";
import { type Shown, Someone, startSessions, user } from "../kit/sessions.ts";

test("an edge reads, waits and writes through its upstream, as the same agent, and streams nothing", async () => {
  const upstream = startSessions();
  const pair = startEdgePair({ upstream, features: [agentFeature, leaseFeature, sessionFeature] });
  await pair.poll();
  const ann = user("ann");
  const one = await new Someone(upstream, ann).as("one");
  const session = await one.create("Work", "s");
  const secret = await one.post(session, "secret", { visibility: "private", to: ["two"] });
  await one.post(session, "open");
  const { output } = await pair.invoke("session_start", { session, name: "two" }, user("bob"));
  expect((output["messages"] as Shown[]).map(({ text }) => text)).toEqual(["secret", "open"]);
  const as = output["handle"];
  const since = output["position"];
  const waiting = pair.invoke("message_wait", { session, since, timeout_seconds: 20, as }, user("bob"));
  const posted = await pair.invoke("message_post", { session, text: "by an edge", parent: secret, as }, user("bob"));
  await one.post(session, "an answer");
  const { events } = (await waiting).output as { events: Shown[] };
  expect(events.map(({ text }) => text)).toEqual(["an answer"]);
  expect((await one.list(session)).find(({ message }) => message === posted.output["message"])).toMatchObject({
    ...{ parent: secret, author: "user:bob@example.com", agent: "two" },
  });
  const plain = (await pair.invoke("message_list", { session }, user("carl"))).output["messages"] as Shown[];
  expect(plain.map(({ text }) => text)).toEqual(["open", "by an edge", "an answer"]);
  const answer = await pair.pull();
  const positions = answer.items.map(({ operation, target }) => `${operation} ${target}`);
  expect(positions.filter((each) => each === `message_post ${session}`)).toHaveLength(3);
  await pair.poll();
  // The changes that came are public, and the edge has no rows by which to judge them.
  const { changes } = (await pair.invoke("context_wait", { prefix: "s/", since, timeout_seconds: 5 }, user("carl")))
    .output;
  const told = (changes as { operation: string }[]).map(({ operation }) => operation);
  expect(told.filter((operation) => operation === "message_post")).toHaveLength(2);
  const stream = {
    operation: "message_wait",
    input: { session },
    caller: user("bob"),
    signal: AbortSignal.timeout(5000),
  };
  await expect(pair.core.invoker.follow(stream)).rejects.toMatchObject({
    ...{ code: "unavailable", hint: expect.stringMatching(/such as central; .*message_wait/) },
  });
  await pair.close();
  await upstream.close();
});
