// 2,000 MCP subscriptions on one node, in each era: each fires once for a write to its context, in bounded time and
// memory, and those who do not read hold up nobody.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../kit/mcp-client.ts";
import { RawConnection } from "../kit/raw-http.ts";

const CALLERS = 40;
const EACH = 50;
const CONTEXTS_EACH = 5;
const SLOW = 100;
/** What one subscription may cost, in KiB of resident memory. */
const MAX_KIB_EACH = 128;
/** A node that is stuck, not one on a busy machine: it takes a second or two. */
const FIRE_MS = 30_000;
const OPEN_AT_ONCE = 32;

const ACCEPT = { accept: "application/json, text/event-stream" };
const META = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": {},
};
const modernHeaders = (method: string, name?: string) => ({
  ...ACCEPT,
  "mcp-protocol-version": "2026-07-28",
  "mcp-method": method,
  ...(name === undefined ? {} : { "mcp-name": name }),
});

interface Subscription {
  caller: number;
  uri: string;
  connection: RawConnection;
}

const OPEN = {
  async modern(connection: RawConnection, as: Record<string, string>, uri: string): Promise<string> {
    const params = { notifications: { resourceSubscriptions: [uri] }, _meta: META };
    const body = { jsonrpc: "2.0", id: 1, method: "subscriptions/listen", params };
    return connection.stream("POST", { ...modernHeaders("subscriptions/listen"), ...as }, body);
  },
  async legacy(connection: RawConnection, as: Record<string, string>, uri: string): Promise<string> {
    const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "many", version: "0" } };
    const greeted = await connection.exchange(
      { ...ACCEPT, ...as },
      { jsonrpc: "2.0", id: 0, method: "initialize", params },
    );
    const id = /\r\nmcp-session-id: (\S+)/i.exec(greeted)?.[1] ?? "";
    const headers = { ...ACCEPT, ...as, "mcp-session-id": id, "mcp-protocol-version": "2025-11-25" };
    await connection.exchange(headers, { jsonrpc: "2.0", method: "notifications/initialized" });
    await connection.exchange(headers, { jsonrpc: "2.0", id: 1, method: "resources/subscribe", params: { uri } });
    return connection.stream("GET", headers);
  },
};

const residentKib = (pid: number) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
const updates = ({ connection, uri }: Subscription) =>
  connection.events.filter((event) => event.includes("resources/updated") && event.includes(`"${uri}"`)).length;

test.if(process.platform === "linux").each(["modern", "legacy"] as const)(
  "%s: 2,000 subscriptions [needs Linux]",
  async (era) => {
    const main = join(import.meta.dir, "../kit/many-main.ts");
    const child = Bun.spawn([process.execPath, main, String(CALLERS)], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "inherit",
    });
    const subscriptions: Subscription[] = [];
    try {
      const { value: line } = await child.stdout.getReader().read();
      const { unix } = JSON.parse(new TextDecoder().decode(line)) as { unix: string };
      const writer = await RawConnection.open(unix);
      const put = async (id: string, content: unknown) => {
        const params = { name: "context_put", arguments: { id, content }, _meta: META };
        const body = { jsonrpc: "2.0", id: 1, method: "tools/call", params };
        const answer = await writer.exchange(modernHeaders("tools/call", "context_put"), body);
        expect(answer).not.toContain('"isError":true');
      };
      await put("warm/up", 1);
      const ids = Array.from({ length: CALLERS * CONTEXTS_EACH }, (_, at) => `c${at % CALLERS}/x-${at}`);
      const before = residentKib(child.pid);

      const wanted = Array.from({ length: CALLERS * EACH }, (_, at) => ({
        caller: at % CALLERS,
        uri: `cairn:///${ids[at % ids.length]}`,
      }));
      await Promise.all(
        Array.from({ length: OPEN_AT_ONCE }, async () => {
          for (let next = wanted.pop(); next !== undefined; next = wanted.pop()) {
            const connection = await RawConnection.open(unix);
            const head = await OPEN[era](connection, { "x-test-caller": `c${next.caller}` }, next.uri);
            expect(head).toContain("text/event-stream");
            subscriptions.push({ ...next, connection });
          }
        }),
      );
      expect(subscriptions.length).toBe(2000);

      const started = performance.now();
      for (const id of ids) await put(id, "first");
      const quiet = () => subscriptions.filter((subscription) => updates(subscription) === 0).length;
      await until(() => quiet() === 0, quiet, FIRE_MS);
      const firedMs = performance.now() - started;
      // Those that would fire twice, or for what they do not watch, have had their time.
      await put("c0/unwatched", 1);
      await Bun.sleep(100);
      expect(subscriptions.filter((subscription) => updates(subscription) !== 1).length).toBe(0);
      expect(
        subscriptions.filter(({ connection }) => connection.events.some((event) => event.includes("unwatched"))),
      ).toEqual([]);

      const slow = subscriptions.slice(0, SLOW);
      const rest = subscriptions.slice(SLOW);
      for (const { connection } of slow) connection.pause();
      const busy = [...new Set(slow.map(({ uri }) => uri.slice("cairn:///".length)))];
      for (let round = 0; round < 5; round++) for (const id of busy) await put(id, round);
      const again = performance.now();
      for (const id of ids) await put(id, "last");
      const behind = () => rest.filter((subscription) => updates(subscription) < 2).length;
      await until(() => behind() === 0, behind, FIRE_MS);
      const againMs = performance.now() - again;
      for (const { connection } of slow) connection.resume();
      const late = () => slow.filter((subscription) => updates(subscription) < 2).length;
      await until(() => late() === 0, late, FIRE_MS);

      const each = (residentKib(child.pid) - before) / subscriptions.length;
      console.log(
        `${era}: fired in ${firedMs.toFixed(0)} ms, beside slow ones in ${againMs.toFixed(0)} ms, ${each.toFixed(1)} KiB each`,
      );
      expect(each).toBeLessThan(MAX_KIB_EACH);
    } finally {
      for (const { connection } of subscriptions) connection.close();
      child.kill("SIGTERM");
      await child.exited;
    }
  },
  120_000,
);
