// Requests through the egress of the Go half: what is asked of it, and what a hostile answer cannot do.

import { afterEach, expect, test } from "bun:test";
import { join } from "node:path";
import { outboundBy } from "../../src/node/tailnet/outbound.ts";
import { temporaryFolder } from "../kit/temporary.ts";

let server: ReturnType<typeof Bun.serve> | undefined;
afterEach(() => server?.stop(true));

/** Starts an egress that answers as the test says, and returns what asks it. */
function start(answer: (request: Request) => Response): ReturnType<typeof outboundBy> {
  const unix = join(temporaryFolder(), "egress.sock");
  server = Bun.serve({ unix, fetch: answer });
  return outboundBy(unix, "the-secret");
}

function ask(outbound: ReturnType<typeof outboundBy>, headers: Record<string, string> = {}): Promise<Response> {
  const signal = AbortSignal.timeout(10_000);
  return outbound(new URL("https://otel.example.com/v1/traces?a=1"), { method: "POST", headers, signal });
}

test("a request names its host and scheme, and asks for no encoding", async () => {
  let asked: Record<string, string> = {};
  const outbound = start(({ url, headers }) => {
    asked = { ...Object.fromEntries(headers), path: new URL(url).pathname };
    return new Response(null, { status: 307, headers: { location: "/elsewhere" } });
  });
  expect((await ask(outbound, { "cairn-internal-secret": "forged", host: "forged" })).status).toBe(307);
  expect(asked).toMatchObject({
    path: "/v1/traces",
    ...{ host: "otel.example.com", "cairn-internal-scheme": "https", "cairn-internal-network": "host" },
    ...{ "cairn-internal-secret": "the-secret", "accept-encoding": "identity" },
  });
});

test("a body that is compressed all the same is not decompressed ahead of what is read", async () => {
  const small = Bun.gzipSync(new Uint8Array(1_000_000));
  const outbound = start(() => new Response(small, { headers: { "content-encoding": "gzip" } }));
  const read = await (await ask(outbound)).bytes();
  expect(read.length).toBe(small.length);
});
