// Services that speak the HTTP interface of OpenAI: what is sent, what is taken, and what a hostile one can do.

import { describe, expect, test } from "bun:test";
import { endpointEmbedder } from "../../src/features/search/meaning/endpoint-embedder.ts";
import { ModelEndpoint, RequestRefused } from "../../src/operation/model-endpoint.ts";
import type { Outbound } from "../../src/operation/node-parts.ts";
import { conceptsOf } from "../kit/concepts.ts";
import { OPENAI_KEY, type OpenAiFault, TestOpenAi } from "../kit/openai.ts";

const never = new AbortController().signal;

/** Sends as a node does, without its egress. */
const direct: Outbound = (url, init) => fetch(url, { ...init, redirect: "manual", keepalive: false });

function open(
  server: TestOpenAi,
  { dimensions = 0, nowMs = Date.now }: { dimensions?: number; nowMs?: () => number } = {},
) {
  const states: string[] = [];
  const endpoint = new ModelEndpoint({
    ...{ url: server.url, key: OPENAI_KEY, outbound: direct, nowMs },
    onState: (problem) => states.push(problem),
  });
  return { endpoint, states, embedder: endpointEmbedder({ endpoint, url: server.url, model: "small", dimensions }) };
}

describe("vectors from a service", () => {
  test("are those of the texts, whatever the order of the response", async () => {
    await using server = new TestOpenAi();
    const { embedder } = open(server, { dimensions: 7 });
    const texts = ["ship", "bread", "car and rain"];
    const vectors = await embedder.embed(texts, 5000, never);
    expect(vectors.map((each) => [...each])).toEqual(texts.map((text) => [...conceptsOf(text)]));
    expect(server.seen).toEqual([
      {
        path: "/v1/embeddings",
        authorization: `Bearer ${OPENAI_KEY}`,
        body: { model: "small", input: texts, encoding_format: "float", dimensions: 7 },
      },
    ]);
    expect(embedder.identity).not.toBe(open(server).embedder.identity);
  });

  const hostile: [OpenAiFault, RegExp][] = [
    ["silent", /did not respond within 0\.5 s/],
    ["drip", /did not respond within 0\.5 s/],
    ["huge", /sent more than \d+ bytes/],
    ["cut", /cannot be read/],
    ["not-json", /cannot be read/],
    ["nan", /cannot be read/],
    ["null", /something else than asked for/],
    ["fewer", /1 vectors for 2 texts/],
    ["other-indexes", /vectors of other texts/],
    ["infinite", /not finite/],
    ["strings", /something else than asked for/],
    ["zeros", /a vector of zeros/],
    ["wrong-width", /8 numbers, not 7/],
    ["redirect", /redirects \(307\), which is not followed/],
    ["429", /refused with 429/],
    ["401", /refused with 401/],
    ["500", /refused with 500/],
  ];
  test.each(hostile)("are refused from one that is %s", async (fault, message) => {
    await using server = new TestOpenAi();
    await using elsewhere = new TestOpenAi();
    server.redirectTo = elsewhere.url;
    server.fault = fault;
    const { embedder, states } = open(server, { dimensions: 7 });
    const failed = embedder.embed(["ship", "bread"], 500, never);
    await expect(failed).rejects.toMatchObject({ code: "unavailable", message: expect.stringMatching(message) });
    expect(states).toHaveLength(1);
    // The server repeats the key in its refusals.
    expect([...states, String(await failed.catch(String))].join()).not.toContain(OPENAI_KEY);
    expect(elsewhere.seen).toEqual([]);
    expect(server.seen).toHaveLength(1);
  });
});

describe("a service that fails", () => {
  test("is not asked for a while, then once more, and then as before", async () => {
    let nowMs = 1_000_000;
    await using server = new TestOpenAi();
    server.fault = "500";
    const { embedder, endpoint, states } = open(server, { nowMs: () => nowMs });
    const ask = () => embedder.embed(["ship"], 5000, never);
    for (let at = 0; at < 3; at += 1) await expect(ask()).rejects.toMatchObject({ code: "unavailable" });
    expect([endpoint.isResting, server.seen.length]).toEqual([true, 3]);
    await expect(ask()).rejects.toThrow("refused with 500");
    expect(server.seen).toHaveLength(3);
    nowMs += 10_000;
    await expect(ask()).rejects.toThrow("500");
    expect([endpoint.isResting, server.seen.length]).toEqual([true, 4]);
    nowMs += 400_000;
    server.fault = undefined;
    expect(await ask()).toHaveLength(1);
    expect([endpoint.isResting, states.at(-1)]).toEqual([false, ""]);
  });

  test("says how long it wants to be left alone, up to a bound", async () => {
    let nowMs = 1_000_000;
    await using server = new TestOpenAi();
    server.fault = "429";
    const { embedder, endpoint } = open(server, { nowMs: () => nowMs });
    await expect(embedder.embed(["ship"], 5000, never)).rejects.toThrow("429");
    nowMs += 59_000;
    expect(endpoint.isResting).toBe(true);
    nowMs += 2000;
    expect(endpoint.isResting).toBe(false);
  });

  test("may refuse one request, which is no failure of the service", async () => {
    await using server = new TestOpenAi();
    server.fault = "400";
    const { embedder, endpoint, states } = open(server);
    for (let at = 0; at < 5; at += 1)
      await expect(embedder.embed(["ship"], 5000, never)).rejects.toBeInstanceOf(RequestRefused);
    expect([endpoint.isResting, states]).toEqual([false, []]);
  });

  test("does not hold a call that ends, and that is no failure either", async () => {
    await using server = new TestOpenAi();
    server.fault = "silent";
    const { embedder, states } = open(server);
    const stop = new AbortController();
    const failed = embedder.embed(["ship"], 60_000, stop.signal);
    setTimeout(() => stop.abort(new Error("gone")), 50);
    await expect(failed).rejects.toThrow("gone");
    expect(states).toEqual([]);
  });
});
