// `cairn simulate` over real MCP endpoints: an honest one passes in both revisions, and each way of lying is caught and
// named.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { LeaseTerms } from "../../src/features/lease/terms.ts";
import { memoryFeature } from "../../src/features/memory/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { openSleepClock } from "../../src/lib/sleep-clock.ts";
import type { Answer } from "../../src/operation/answer.ts";
import type { Call } from "../../src/operation/call.ts";
import { Agent } from "../../src/simulate/agent.ts";
import { CheckFailedError, jsonReporter, peopleReporter, simulate, type Target } from "../../src/simulate/index.ts";
import { Latencies } from "../../src/simulate/report.ts";
import type { Core } from "../kit/core.ts";
import { Door } from "../kit/mcp-fleet.ts";
import { Searched } from "../kit/search.ts";

let searched: Searched;
let core: Core;
let doors: Door[];
let leading: AbortController;

beforeEach(() => {
  searched = new Searched({}, [memoryFeature]);
  core = searched.core;
  leading = new AbortController();
  const operations = new Set(["lease_acquire", "lease_release", "lease_force", "lease_expire"]);
  const about = { reader: core.store.reader, log: () => core.log, operations, clock: openSleepClock() };
  new LeaseTerms(about).lead({ term: 1, signal: leading.signal });
  doors = [];
});

afterEach(async () => {
  leading.abort();
  for (const door of doors) await door[Symbol.asyncDispose]();
  await searched[Symbol.asyncDispose]();
});

type Invoke = (call: Call) => Promise<Answer>;

/** A node over the store; `lie` stands between calls and the truth. */
function node(lie: (call: Call, truth: Invoke) => Promise<Answer> = (call, truth) => truth(call)): Target {
  const truth: Invoke = (call) => core.invoker.invoke(call);
  const invoker = new Proxy(core.invoker, {
    get: (target, key) => {
      if (key === "invoke") return (call: Call) => lie(call, truth);
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const door = new Door({ ...core, invoker });
  doors.push(door);
  return { name: door.url, connect: () => new StreamableHTTPClientTransport(new URL(`${door.url}/mcp`)) };
}

async function play(targets: readonly [Target, ...Target[]], options: { rounds?: number; clean?: boolean } = {}) {
  const lines: string[] = [];
  const failure = await simulate({
    targets,
    space: "simulate",
    agents: 6,
    rounds: options.rounds ?? 5,
    seed: 42,
    clean: options.clean ?? false,
    reporter: jsonReporter((line) => void lines.push(line)),
    signal: new AbortController().signal,
  }).then(
    () => undefined,
    (error: unknown) => error,
  );
  return { failure, told: lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

const inputOf = (call: Call) => call.input as Record<string, unknown>;

describe("a store that tells the truth", () => {
  test("passes, shows every scene, and leaves only what it wrote; --clean takes that away", async () => {
    await core.call("context_put", { id: "simulate/mine", content: "not of a run" });
    const { failure, told } = await play([node(), node()]);
    expect(failure).toBeUndefined();
    const deeds = told.filter(({ event }) => event === "did").map(({ did }) => String(did).split(" ")[0]);
    expect(deeds).toHaveLength(30);
    expect([...new Set(deeds)].sort()).toEqual(["counted", "handed", "remembered", "talked", "took", "was", "wrote"]);
    expect(told.at(-1)).toMatchObject({ event: "right" });
    const list = async () => (await core.call("context_list", { prefix: "simulate/" }))["contexts"] as { id: string }[];
    expect((await list()).length).toBe(Number(told.at(-1)?.["contexts"]) + 1);
    const again = await play([node()], { rounds: 0, clean: true });
    expect(again.failure).toBeUndefined();
    expect((await list()).map(({ id }) => id)).toEqual(["simulate/mine"]);
  });

  test("the same seed plays the same scenes", async () => {
    const scenes = async () =>
      (await play([node()])).told
        .filter(({ event }) => event === "did")
        .map(({ round, agent, did }) => `${round} ${agent} ${did}`)
        .sort();
    expect(await scenes()).toEqual(await scenes());
  });

  test("what passes by itself is waited for, and is one write", async () => {
    let refused = 0;
    const { failure } = await play([
      node(async (call, truth) => {
        const answer = await truth(call);
        // Done, and not said: as a leader that dies in between.
        if (call.operation === "context_put" && refused++ % 3 === 0) throw unavailable();
        return answer;
      }),
    ]);
    expect(failure).toBeUndefined();
    expect(refused).toBeGreaterThan(5);
  });

  test("lines for people name seed, space, targets and what was done", async () => {
    const lines: string[] = [];
    await simulate({
      targets: [node()],
      space: "tour",
      agents: 2,
      rounds: 1,
      seed: 7,
      clean: true,
      reporter: peopleReporter((line) => void lines.push(line)),
      signal: new AbortController().signal,
    });
    expect(lines[0]).toMatch(/^simulate {3}seed 7: 2 agents, 1 round, below tour\/ \(run 7-[0-9a-f]{6}\)$/);
    expect(lines.join("\n")).toMatch(/^round 1 +agent-\d +.* tour\/.*\(\d+ ms, http:/m);
    expect(lines.at(-1)).toMatch(/^removed {4}\d+ contexts$/);
  });
});

function unavailable(): Error {
  return new Fault("unavailable", "The leader is away");
}

const FOR_ALL = { visibility: "public", to: [] };

describe("a store that lies is caught", () => {
  const older = new Map<string, Answer>();
  const cases: readonly [string, RegExp, (call: Call, truth: Invoke) => Promise<Answer>][] = [
    [
      "answers the version before",
      /is version 1, and version 2 was acknowledged|is version \d+, and \d+ was acknowledged before|an update is lost/,
      async (call, truth) => {
        const answer = await truth(call);
        if (call.operation !== "context_get") return answer;
        const id = String(inputOf(call)["id"]);
        const stale = older.get(id);
        older.set(id, answer);
        return stale ?? answer;
      },
    ],
    [
      "acknowledges a write that it does not make",
      /one of them is lost|an update is lost|is version \d+, and (version )?\d+ was acknowledged/,
      async (call, truth) => {
        if (call.operation !== "context_patch") return truth(call);
        const { id } = inputOf(call);
        const { output, position } = await truth({ ...call, operation: "context_get", input: { id } });
        const version = Number(output["version"]) + 1;
        return {
          output: { id, version, etag: `${version}-0`, created: false, updated_at: "2026-01-01T00:00:00Z" },
          position,
        };
      },
    ],
    [
      "writes over what others wrote",
      /on top of version \d+ became version|an update is lost/,
      async (call, truth) => {
        if (call.operation !== "context_patch") return truth(call);
        const { if_match: _, ...input } = inputOf(call);
        // Others write in between, as they do between a read and a write.
        const { id } = inputOf(call);
        await truth({ ...call, operation: "context_patch", input: { id, format: "merge", patch: { other: 1 } } });
        return truth({ ...call, input });
      },
    ],
    [
      "does not wake who waits",
      /was not notified of version/,
      async (call, truth) => {
        if (call.operation !== "context_wait") return truth(call);
        const { position } = await truth({ ...call, operation: "whoami", input: {} });
        return { output: { changes: [], position, timed_out: true }, position };
      },
    ],
    [
      "hides a handoff",
      /does not find the handoff/,
      async (call, truth) => {
        const answer = await truth(call);
        return call.operation === "context_list" ? { ...answer, output: { contexts: [] } } : answer;
      },
    ],
    [
      "shows everybody what is for one",
      /the messages of .* for .* at .*: found \[.*\], expected \[/,
      async (call, truth) => {
        if (call.operation === "message_post") return truth({ ...call, input: { ...inputOf(call), ...FOR_ALL } });
        return truth(call);
      },
    ],
    [
      "loses a message that it acknowledged",
      /m_0{12} of .* was acknowledged for two messages/,
      async (call, truth) => {
        const answer = await truth(call);
        if (call.operation !== "message_post" || inputOf(call)["visibility"] !== "private") return answer;
        return { ...answer, output: { ...answer.output, message: "m_000000000000" } };
      },
    ],
    [
      "gives a lease away that is held",
      /was granted to .* while .* holds it/,
      async (call, truth) => {
        const answer = await truth(call);
        if (call.operation !== "lease_acquire") return answer;
        return { ...answer, output: { ...answer.output, granted: true, safe_seconds: 100, place: 0 } };
      },
    ],
    [
      "finds nothing",
      /what .* finds by .*: found \[\]/,
      async (call, truth) => {
        const answer = await truth(call);
        return call.operation === "search" ? { ...answer, output: { ...answer.output, hits: [] } } : answer;
      },
    ],
  ];

  test.each(cases)("it %s", async (_what, said, lie) => {
    older.clear();
    const { failure, told } = await play([node(lie)]);
    expect(failure).toBeInstanceOf(CheckFailedError);
    expect((failure as CheckFailedError).message).toMatch(said);
    expect((failure as CheckFailedError).message).toMatch(/^in round \d agent-\d /);
    expect(told.some(({ event }) => event === "right")).toBe(false);
  });

  test("it shows something else at another URL", async () => {
    const other = node(async (call, truth) => {
      const answer = await truth(call);
      if (call.operation !== "context_get" || !String(inputOf(call)["id"]).endsWith("/bell")) return answer;
      return { ...answer, output: { ...answer.output, content: "something else" } };
    });
    const { failure } = await play([node(), other]);
    expect(failure).toBeInstanceOf(CheckFailedError);
    expect((failure as CheckFailedError).message).toContain(`at ${other.name} is`);
    expect((failure as CheckFailedError).message).toContain('"something else"');
  });

  test("it holds what no one wrote", async () => {
    const planted = node(async (call, truth) => {
      const { id, content } = inputOf(call);
      if (call.operation === "context_put" && String(id).endsWith("/board-0"))
        await truth({ ...call, input: { id: `${id}-too`, content, tags: ["simulate"] } });
      return truth(call);
    });
    const { failure } = await play([planted]);
    expect((failure as CheckFailedError).message).toMatch(/board-0-too is at .*, and no agent wrote it/);
  });
});

test("an answer that comes late does not take an agent back to an older position", async () => {
  const read = Promise.withResolvers<void>();
  const late = Promise.withResolvers<void>();
  const target = node(async (call, truth) => {
    const answer = await truth(call);
    if (call.operation !== "context_list") return answer;
    read.resolve();
    await late.promise;
    return answer;
  });
  const options = { latencies: new Latencies(), signal: new AbortController().signal };
  const agent = await Agent.connect("agent-1", target, "newer", options);
  const listing = agent.call("context_list", { prefix: "simulate/" });
  await read.promise;
  await agent.write("context_put", { id: "simulate/a", content: "1" });
  const written = agent.position;
  late.resolve();
  await listing;
  expect(agent.position).toBe(written);
  await agent.close();
});
