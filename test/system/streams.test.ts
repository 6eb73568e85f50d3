// Event streams over a real socket: no gap and no repeat over reconnects, slow readers, lost rights, and ten thousand
// at once on a whole node.

import { expect, test } from "bun:test";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { granted } from "../kit/core.ts";
import { EventReader } from "../kit/event-reader.ts";
import { eventually, within } from "../kit/eventually.ts";
import { spawnNode } from "../kit/node.ts";
import { CALLER_HEADER, serveCore } from "../kit/served-core.ts";

const CROWD = join(dirname(import.meta.dir), "kit", "stream-crowd.ts");

test("a client that is cut again and again sees every change once and in order while four writers write", async () => {
  await using served = serveCore();
  const { core } = served;
  const writers = 4;
  const each = 150;
  const writing = Promise.all(
    Array.from({ length: writers }, async (_, writer) => {
      for (let content = 0; content < each; content++) {
        await core.call("context_put", { id: `team/${writer}`, content });
        if (content % 10 === writer) await core.call("context_put", { id: "other/x", content });
      }
    }),
  );
  const seen: string[] = [];
  let lastEventId = `${core.invoker.position().split("-")[0]}-0`;
  let connections = 0;
  while (seen.length < writers * each) {
    connections += 1;
    const response = await served.fetch("/changes?feed=sse&prefix=team/&since=ignored", {
      headers: { "last-event-id": lastEventId },
    });
    await using stream = new EventReader(response);
    // Cut after a number of events that never falls together with a batch.
    for (let left = 1 + ((connections * 37) % 90); left > 0 && seen.length < writers * each; left--) {
      const event = await stream.next();
      if (event === undefined) throw new Error("the stream ended");
      if (event.id !== undefined) lastEventId = event.id;
      if (event.event !== "change") continue;
      const { target, version } = JSON.parse(event.data);
      seen.push(`${target} ${version}`);
    }
  }
  await writing;
  expect(connections).toBeGreaterThan(5);
  expect(new Set(seen).size).toBe(writers * each);
  for (let writer = 0; writer < writers; writer++) {
    const mine = seen.filter((line) => line.startsWith(`team/${writer} `));
    expect(mine).toEqual(Array.from({ length: each }, (_, index) => `team/${writer} ${index + 1}`));
  }
  await eventually("the cut streams to be let go", () => core.invoker.openStreams === 0);
  expect(core.unexpected).toEqual([]);
}, 60_000);

test("a client that stops reading costs no more than its socket, is asked to go, then cut; others are not held up", async () => {
  // Time enough to be told on a machine that is busy with other things.
  const streams = { heartbeatMs: 500, stallMs: 1_000, graceMs: 4_000 };
  await using served = serveCore({ streams });
  const { core } = served;
  const [told, cut] = [0, 1].map(() => {
    const socket = connect({ path: served.socket });
    socket.on("error", () => {});
    socket.write("GET /changes?feed=sse HTTP/1.1\r\nHost: cairn\r\n\r\n");
    return socket;
  });
  if (told === undefined || cut === undefined) throw new Error("no sockets");
  await using healthy = new EventReader(await served.fetch("/changes?feed=sse"));
  await eventually("three open streams", () => core.api.openStreams === 3);
  for (const socket of [told, cut]) socket.pause();
  const changes = 6_000;
  let heard = 0;
  const hearing = (async () => {
    while (heard < changes) if ((await healthy.change()).target === "a") heard += 1;
  })();
  for (let content = 0; content < changes; content += 100) {
    await Promise.all(Array.from({ length: 100 }, () => core.call("context_put", { id: "a", content })));
  }
  await within("the healthy stream to hear everything", hearing);
  await eventually("the slow ones to be given up", () => core.invoker.openStreams === 1);
  let text = "";
  told.on("data", (chunk) => {
    text += chunk.toString("latin1");
  });
  const ended = new Promise((resolve) => told.on("close", resolve));
  told.resume();
  await eventually("the reason", () => text.includes('event: end\ndata: {"reason":"slow_reader"'));
  // What it got before is whole and without gap, so it can resume behind the last one.
  const versions = [...text.matchAll(/"version":(\d+)/g)].map((found) => Number(found[1]));
  expect(versions).toEqual(versions.map((_, index) => index + 1));
  expect(versions.length).toBeLessThan(changes);
  await eventually("the other one to be cut", () => core.api.openStreams === 1);
  cut.resume();
  await within("the end of the cut one", new Promise((resolve) => cut.on("close", resolve)));
  told.destroy();
  await ended;
  expect(core.unexpected).toEqual([]);
}, 90_000);

test("the stream of a caller whose right is taken away ends on its socket with the reason, the connection stays", async () => {
  const policy = { rules: [], problems: [] };
  await using served = serveCore({ policy });
  const { core, callers } = served;
  callers.set("alice", granted({ role: "reader", spaces: ["team"] }));
  const headers = { [CALLER_HEADER]: "alice" };
  await using stream = new EventReader(await served.fetch("/contexts/team/a/stream", { headers }));
  await core.call("context_put", { id: "team/a", content: 1 });
  expect(await stream.change()).toMatchObject({ target: "team/a", version: 1 });
  core.api.callersChanged(["nALICE"]);
  expect((await stream.end()).reason).toBe("rights_changed");
  callers.set("alice", granted());
  expect((await served.fetch("/contexts/team/a/stream", { headers })).status).toBe(403);
  expect(core.invoker.openStreams).toBe(0);
});

const STREAMS = 10_000;
const DESCRIPTORS = STREAMS + 500;
/** Whether this machine lets a process have that many descriptors. */
const permitted = Bun.spawnSync(["sh", "-c", `ulimit -n ${DESCRIPTORS}`]).exitCode === 0;
const withDescriptors = ["sh", "-c", `ulimit -n ${DESCRIPTORS}; exec "$@"`, "sh"];

test.skipIf(!permitted)(
  `${STREAMS} streams are open on one node, all hear of a change, writes stay quick, memory stays bounded, all end with a reason [needs ${DESCRIPTORS} descriptors]`,
  async () => {
    const args = ["--conformance", "--limits-streams-per-caller", String(STREAMS + 100)];
    await using node = await spawnNode({ args, wrap: withDescriptors });
    const { socket } = await node.ready();
    const ask = (path: string, init: BunFetchRequestInit = {}) =>
      fetch(`http://cairn${path}`, { ...init, unix: socket });
    const put = async (content: string) => {
      const began = performance.now();
      const headers = { "content-type": "text/plain" };
      expect((await ask("/contexts/team/a", { method: "PUT", body: content, headers })).ok).toBe(true);
      return performance.now() - began;
    };
    const metric = async (name: string) =>
      Number(new RegExp(`^${name} (.+)$`, "m").exec(await (await ask("/metrics")).text())?.[1]);
    const residentBefore = await metric("process_resident_memory_bytes");

    const crowd = Bun.spawn(
      [...withDescriptors, process.execPath, CROWD, socket, String(STREAMS), "/contexts/team/a/stream"],
      {
        stdout: "pipe",
        stderr: "inherit",
      },
    );
    const lines = linesOf(crowd.stdout);
    const openLine = await within("all streams to be open", lines.next("open"), 120_000);
    expect(await metric("cairn_streams")).toBe(STREAMS);
    const bytesEach = ((await metric("process_resident_memory_bytes")) - residentBefore) / STREAMS;

    const tookMs = await put("one");
    await within("all streams to hear of the change", lines.next("heard"), 60_000);
    const laterMs = Math.max(...(await Promise.all([put("two"), put("three")])));
    console.log(
      `${STREAMS} streams: open in ${openLine["ms"]} ms, ${Math.round(bytesEach / 1024)} KiB each, a write took ${Math.round(tookMs)} and ${Math.round(laterMs)} ms`,
    );
    expect(bytesEach).toBeLessThan(48 * 1024);

    node.kill("SIGTERM");
    const { reasons } = await within("all streams to end", lines.next("ended"), 60_000);
    expect(reasons).toEqual({ stopping: STREAMS });
    expect((await node.exited()).code).toBe(0);
  },
  300_000,
);

/** JSON lines of a process by their `event`; others on the way fail the test. */
function linesOf(stdout: ReadableStream<Uint8Array>) {
  const reader = stdout
    .pipeThrough(new TextDecoderStream() as never)
    .getReader() as ReadableStreamDefaultReader<string>;
  let text = "";
  return {
    async next(event: string): Promise<Record<string, unknown>> {
      while (!text.includes("\n")) {
        const { value, done } = await reader.read();
        if (done) throw new Error(`the crowd ended before it said ${event}`);
        text += value;
      }
      const line = JSON.parse(text.slice(0, text.indexOf("\n")));
      text = text.slice(text.indexOf("\n") + 1);
      if (line.event !== event) throw new Error(`expected ${event}: ${JSON.stringify(line)}`);
      return line;
    },
  };
}
