// Every page over a store in which every field is hostile: nothing of it is markup, invisible or out of order, whoever
// wrote it.

import { expect, test } from "bun:test";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { eventFeature, subscriptionFeature } from "../../src/features/event/index.ts";
import { leaseFeature } from "../../src/features/lease/index.ts";
import { memoryFeature } from "../../src/features/memory/index.ts";
import { sessionFeature } from "../../src/features/session/index.ts";
import { callerWith } from "../kit/core.ts";
import { startEvents } from "../kit/events.ts";
import { hostileScene, MARKUP, ODD } from "../kit/hostile-scene.ts";
import { webOver } from "../kit/web.ts";

test("every page shows hostile names, titles, tags, purposes, texts and metadata as text alone", async () => {
  const kinds = [agentFeature, contextFeature, leaseFeature, sessionFeature, memoryFeature];
  const features = [...kinds, eventFeature, subscriptionFeature];
  await using events = startEvents({ features });
  const { core } = events;
  // A device of the node's own user, whose login is markup too.
  const author = callerWith({
    id: "nEVIL",
    login: `<b>"'@x.example`,
    grants: [{ role: "admin", spaces: ["*", "fleet"] }],
  });
  const unexpected: unknown[] = [];
  const web = webOver(core, { onUnexpected: (error) => `w${unexpected.push(error)}` });
  const paths = await hostileScene((operation, input) => core.call(operation, input, author));
  for (const path of paths) {
    const response = await web.fetch(new Request(`http://cairn${path}`), author, "http");
    const text = (await response?.text()) ?? "";
    const found = [
      text.match(/<script/g)?.length,
      /<img|<b>|<i>|<\/pre><\/bdi><\/script>/.exec(text)?.[0],
      // A field has what the visitor's own address says: it is its own line, and is sent as it is.
      ODD.exec(text.replaceAll(/\svalue="[^"]*"/g, ""))?.[0],
    ];
    expect([path, ...found]).toEqual([path, 1, undefined, undefined]);
    // No attribute was closed: each of its tags has only the names that pages use.
    const names = new Set(
      [...text.matchAll(/<[a-z][a-z0-9]*((?:\s[^<>]*)?)>/g)].flatMap(([, all = ""]) => attributes(all)),
    );
    expect([path, [...names].filter((name) => /^on|^style$|^src$/.test(name))]).toEqual([path, []]);
  }
  const whole = await web.fetch(new Request(`http://cairn${paths[3]}`), author, "http");
  expect(await whole?.text()).toContain(MARKUP.slice(0, 6).replaceAll("<", "&lt;").replaceAll(">", "&gt;"));
  expect(unexpected).toEqual([]);
});

/** Returns the names of the attributes of a tag. */
function attributes(text: string): string[] {
  return text
    .replaceAll(/"[^"]*"/g, "")
    .split(/[\s=/]+/)
    .filter((name) => name !== "");
}
