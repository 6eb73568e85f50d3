// A node that is stopped under writes over its tailnet: each is answered whole, or known as not written; none is left
// open.

import { expect, test } from "bun:test";
import { joinAgent } from "../kit/agent.ts";
import { eventually } from "../kit/eventually.ts";
import { startNode } from "../kit/node.ts";
import { TestTailnet } from "../kit/tailnet.ts";

const WRITERS = 16;

test("SIGTERM under writes leaves no outcome open, and each acknowledged write is there at the next start", async () => {
  await using tailnet = await TestTailnet.start();
  await using node = await startNode({ tailnet });
  const { url } = await node.serving();
  const agent = await joinAgent(tailnet, url, { hostname: "writers" });
  const acknowledged = new Map<string, number>();
  const refused: { status: number; outcome: unknown }[] = [];
  let answered = 0;
  const write = async (id: string) => {
    for (let at = 1; !node.ended; at++) {
      // What is asked after its end nobody answers.
      const answer = await Promise.race([agent.put(id, `text ${at}`), node.exited().then(() => undefined)]);
      if (answer === undefined) return;
      answered += 1;
      if (answer.status < 300) acknowledged.set(id, (acknowledged.get(id) ?? 0) + 1);
      else {
        refused.push({ status: answer.status, outcome: answer.body["outcome"] });
        await Bun.sleep(2);
      }
    }
  };
  const writing = Array.from({ length: WRITERS }, (_, writer) => write(`stop/w${writer}`));
  await eventually("some hundred writes", () => answered > 20 * WRITERS);
  node.kill("SIGTERM");
  expect(await node.exited()).toMatchObject({ code: 0 });
  await Promise.all(writing);
  expect(refused.filter(({ outcome }) => outcome === "unknown")).toEqual([]);
  expect(acknowledged.size).toBe(WRITERS);
  await using again = await node.again();
  await again.serving();
  for (const [id, times] of acknowledged) {
    const { headers } = await agent.get(id);
    expect(Number.parseInt(headers.get("etag")?.slice(1) ?? "", 10)).toBeGreaterThanOrEqual(times);
  }
});
