// How a bridge judges what the egress of its tailnet node answers in the place of the node: nothing was sent, or it may
// have been.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { send } from "../../src/bridge/endpoint.ts";
import { NotSentError, OutcomeUnknownError } from "../../src/bridge/errors.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const REFUSAL = "cairn-internal-refusal";
const egress = join(temporaryFolder(), "egress.sock");
let server: ReturnType<typeof Bun.serve>;
let answer: () => Response = () => new Response("ok");

beforeAll(() => {
  server = Bun.serve({ unix: egress, fetch: () => answer() });
});
afterAll(async () => {
  await server.stop(true);
});

function ask() {
  const signal = AbortSignal.timeout(5000);
  return send({ egress, secret: "s", base: "http://cairn" }, "/mcp", { method: "POST", body: "{}", signal });
}

const refusal = (code: string, status: number) => () =>
  Response.json({ code, detail: "cannot reach cairn" }, { status, headers: { [REFUSAL]: code } });

test.each([
  ["dial_failed", NotSentError],
  ["exchange_failed", OutcomeUnknownError],
] as const)("%s", async (code, kind) => {
  answer = refusal(code, 502);
  const error = await ask().catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(kind);
  expect(String(error)).toContain("cannot reach cairn");
});

test("another refusal is final, and what a node writes itself is its answer", async () => {
  answer = refusal("dial_refused", 403);
  expect((await ask()).status).toBe(403);
  answer = () => Response.json({ code: "dial_failed" }, { status: 502 });
  expect((await ask()).status).toBe(502);
});
