// What a client says of itself: one form of it, kept beside the verified caller from its fleet level on, covered by the
// audit, shown as a claim, and never judged.

import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import fc from "fast-check";
import { callerCell } from "../../src/cli/output.ts";
import { claimOfInfo, clientClaim, MAX_CLIENT } from "../../src/lib/client-claim.ts";
import { decodeEntry, encodeEntry, packCommand } from "../../src/log/entry.ts";
import { CLIENT_LEVEL } from "../../src/log/level.ts";
import type { Command } from "../../src/log/log.ts";
import { writeMeta } from "../../src/log/meta.ts";
import type { Surface } from "../../src/operation/call.ts";
import { member, pairFor } from "../kit/asking.ts";
import { type Core, granted, localAdmin, startCore } from "../kit/core.ts";
import { startEdgePair } from "../kit/edge.ts";
import { makeStoreAt } from "../kit/level.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const CLAIM = "claude-code 2.1.332";

const ask = async (core: Core, operation: string, input: unknown, client = CLAIM, caller = localAdmin) => {
  const surface: Surface = "other";
  const call = { operation, input, caller, client, surface, signal: AbortSignal.timeout(5_000) };
  return (await core.invoker.invoke(call)).output;
};

type Rows = { client?: string; outcome?: string; version?: number }[];
const historyOf = async (core: Core, id = "a/x") => (await core.call("context_history", { id }))["versions"] as Rows;
const auditOf = async (core: Core) => (await core.call("audit_query", {}))["rows"] as Rows;
const clientsOf = (rows: Rows) => rows.map(({ client }) => client);

function coreAt(level: number): Core {
  const folder = temporaryFolder();
  makeStoreAt(join(folder, "store"), level);
  return startCore({ folder });
}

describe("a claim", () => {
  test("is one line without what is not seen, in NFC, and at most 128 characters", () => {
    expect(claimOfInfo({ name: "claude-code", version: "2.1.332" })).toBe(CLAIM);
    expect(claimOfInfo({ name: " a\u0000\u202eb\n\tc\u200b ", version: 7 })).toBe("a b c");
    expect(claimOfInfo({ name: "e\u0301", version: "\ud800" })).toBe("\u00e9");
    for (const none of [undefined, null, "x", [], {}, { name: 1 }, { name: "\u200b", version: "1" }])
      expect(claimOfInfo(none)).toBe("");
    expect(clientClaim("\u{1f600}".repeat(500))).toBe("\u{1f600}".repeat(64));
    expect(clientClaim(`${"x".repeat(127)}\u{1f600}`)).toBe("x".repeat(127));
  });

  test("stays the same when it is read again, whatever it was made of", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 700 }), (text) => {
        const claim = clientClaim(text);
        expect(claim.length).toBeLessThanOrEqual(MAX_CLIENT);
        expect(claim.isWellFormed()).toBe(true);
        expect(clientClaim(claim)).toBe(claim);
      }),
    );
  });

  test("is the last of a packed command, and one without it is packed as before", () => {
    const plain: Command = { name: "n", v: 1, input: {}, caller: "c", via: "", key: "" };
    const keyed: Command = { ...plain, key: "k", nodeKey: true, inputHash: "0".repeat(64), outcomeBytes: 5 };
    const commands = [plain, { ...plain, client: CLAIM }, keyed, { ...keyed, client: CLAIM }];
    const header = { level: CLIENT_LEVEL, origin: "00".repeat(16), ticket: 1, stampMs: 1 };
    expect(decodeEntry(encodeEntry(header, commands.map(packCommand))).commands).toEqual(commands);
    expect(Buffer.from(packCommand(plain)).toString("hex")).toBe("96a16e01de0000a163a0a0");
    expect(() => packCommand({ ...plain, client: "x".repeat(MAX_CLIENT + 1) })).toThrow("The log cannot hold");
  });
});

describe("a write", () => {
  test("keeps it in history, audit and waits beside the caller, and each kind of write has that of its own", async () => {
    await using core = startCore();
    await ask(core, "context_put", { id: "a/x", content: "one" });
    await ask(core, "context_patch", { id: "a/x", format: "edit", patch: { op: "append", text: "!" } }, "codex 1");
    await ask(core, "context_restore", { id: "a/x", version: 1 }, "");
    await ask(core, "context_delete", { id: "a/x" }, "qwen 3");
    expect(clientsOf(await historyOf(core))).toEqual(["qwen 3", undefined, "codex 1", CLAIM]);
    expect(clientsOf(await auditOf(core))).toEqual(["qwen 3", undefined, "codex 1", CLAIM]);
    const since = core.invoker.positionAt(0);
    const { changes } = await core.call("context_wait", { prefix: "a/", since });
    expect(clientsOf(changes as Rows).toReversed()).toEqual(["qwen 3", undefined, "codex 1", CLAIM]);
    expect(await core.call("audit_verify", {})).toMatchObject({ ok: true, versions: 4 });
  });

  test("under one key is one write, whatever the client says", async () => {
    await using core = startCore();
    const put = { id: "a/x", content: 1, idempotency_key: "k" };
    const [first, again] = [await ask(core, "context_put", put), await ask(core, "context_put", put, "other 1")];
    expect(again).toEqual(first);
    expect(clientsOf(await historyOf(core))).toEqual([CLAIM]);
  });

  test("that is refused is counted with the claim of the last one, which gives no right", async () => {
    await using core = startCore();
    for (const client of ["a 1", "local", "cairn"])
      await expect(
        ask(core, "context_put", { id: "a/x", content: 1 }, client, granted({ role: "reader", spaces: ["*"] })),
      ).rejects.toMatchObject({ code: "forbidden" });
    const { refusals } = await core.call("audit_query", {});
    expect(refusals).toEqual([expect.objectContaining({ client: "cairn", count: 3 })]);
  });

  test("below its fleet level keeps none, and has the schema of that level", async () => {
    await using core = coreAt(CLIENT_LEVEL - 1);
    await ask(core, "context_put", { id: "a/x", content: 1 });
    await ask(core, "context_put", { id: "a/x", content: 1 }, CLAIM, granted()).catch(() => {});
    expect(clientsOf(await historyOf(core))).toEqual([undefined]);
    expect(clientsOf(await auditOf(core))).toEqual([undefined]);
    expect((await core.call("audit_query", {}))["refusals"]).toEqual([expect.not.objectContaining({ client: CLAIM })]);
    expect(await core.call("audit_verify", {})).toMatchObject({ ok: true });
    for (const table of ["changes", "versions", "refusals"])
      expect(Object.keys(core.store.reader.get(`SELECT * FROM ${table}`) ?? {})).not.toContain("client");
  });

  test.each(["changes", "versions"])("is found where somebody changes it in %s", async (table) => {
    await using core = startCore();
    await ask(core, "context_put", { id: "a/x", content: 1 });
    const outside = new Database(core.store.path);
    outside.run(`UPDATE ${table} SET client = 'cairn'`);
    outside.close();
    expect(await core.call("audit_verify", {})).toMatchObject({
      ok: false,
      problem: expect.stringMatching(/was edited|different client/),
    });
  });

  test("is exported and imported with it, and refused by a fleet of a lower level", async () => {
    await using from = startCore();
    await ask(from, "context_put", { id: "a/x", content: "one" });
    await ask(from, "context_put", { id: "a/x", content: "two" }, "");
    const { lines } = await from.call("context_export", {});
    await using to = startCore();
    await ask(to, "context_import", { lines }, "importer 1");
    expect(clientsOf(await historyOf(to))).toEqual([undefined, CLAIM]);
    expect(clientsOf(await auditOf(to))).toEqual(["importer 1", "importer 1"]);
    expect(await to.call("audit_verify", {})).toMatchObject({ ok: true });
    expect((await to.call("context_export", {}))["lines"]).toEqual(lines);
    const outside = new Database(to.store.path);
    outside.run("UPDATE versions SET client = 'cairn' WHERE version = 1");
    outside.close();
    expect(await to.call("audit_verify", {})).toMatchObject({ ok: false });
    await using lower = coreAt(CLIENT_LEVEL - 1);
    await expect(lower.call("context_import", { lines })).rejects.toMatchObject({
      message: expect.stringContaining(`needs fleet level ${CLIENT_LEVEL}`),
    });
    expect(await lower.call("context_import", { lines: (lines as string[]).map(withoutClient) })).toEqual({
      imported: 2,
      skipped: 0,
    });
  });
});

function withoutClient(line: string): string {
  const { client: _, ...rest } = JSON.parse(line) as Record<string, unknown>;
  return JSON.stringify(rest);
}

describe("between nodes", () => {
  test("a forward carries it to the leader, which has it on every member", async () => {
    await using pair = await pairFor(member);
    const [first, other] = [pair.node(0).core, pair.node(1).core];
    await ask(other, "context_put", { id: "team-a/x", content: 1 }, CLAIM, member);
    expect(pair.frames).toMatchObject([{ client: CLAIM }]);
    for (const core of [first, other]) expect(clientsOf(await historyOf(core, "team-a/x"))).toEqual([CLAIM]);
  });

  test("a forward names none while this node knows of a lower level, and the leader cleans what it is sent", async () => {
    await using pair = await pairFor(member);
    const [first, other] = [pair.node(0).core, pair.node(1).core];
    other.store.transaction((tx) => writeMeta(tx, { fleet_level: CLIENT_LEVEL - 1 }));
    await ask(other, "context_put", { id: "team-a/x", content: 1 }, CLAIM, member);
    other.store.transaction((tx) => writeMeta(tx, { fleet_level: CLIENT_LEVEL }));
    await ask(other, "context_put", { id: "team-a/x", content: 2 }, "a\u202eb\n", member);
    expect(pair.frames.map(({ client }) => client)).toEqual([undefined, "a\u202eb\n"]);
    expect(clientsOf(await historyOf(first, "team-a/x"))).toEqual(["a b", undefined]);
  });

  test("an edge has it in its changes; one whose build knows none is sent none", async () => {
    for (const [level, client] of [
      [CLIENT_LEVEL, CLAIM],
      [CLIENT_LEVEL - 1, undefined],
    ] as const) {
      const pair = startEdgePair({ level });
      await pair.poll();
      await ask(pair.upstream, "context_put", { id: "a/x", content: 1 });
      const { items } = await pair.pull();
      expect(items.map((item) => "client" in item)).toEqual([client !== undefined]);
      await pair.poll();
      const { changes } = await pair.core.call("context_wait", {
        prefix: "a/",
        since: pair.core.invoker.positionAt(0),
      });
      expect(clientsOf(changes as Rows)).toEqual([client]);
      await pair.close();
    }
  });

  test("an edge forwards it once it knows that the fleet has the level", async () => {
    for (const [fleetLevel, client] of [
      [CLIENT_LEVEL, CLAIM],
      [0, undefined],
    ] as const) {
      const pair = startEdgePair({ fleetLevel });
      await pair.poll();
      await ask(pair.core, "context_put", { id: "a/x", content: 1 }, CLAIM, member);
      expect(clientsOf(await historyOf(pair.upstream))).toEqual([client]);
      await pair.close();
    }
  });
});

describe("a surface", () => {
  test("of the command line names it behind the verified caller, as said by the client", () => {
    const row = { via: "n1", client: CLAIM };
    expect(callerCell("ann", row)).toBe(`ann via n1 (said by the client: ${CLAIM})`);
    expect(callerCell("ann", { via: "" })).toBe("ann");
  });

  test("over REST takes the header Cairn-Client, never User-Agent, and refuses an empty one", async () => {
    await using core = startCore();
    const write = (headers: Record<string, string>, path = "/contexts/a/x", method = "PUT") =>
      core.http(path, { method, headers: { "content-type": "application/json", ...headers }, body: "1" });
    await write({ "user-agent": "curl/8" });
    await write({ "cairn-client": "curl-agent 1" });
    const body = JSON.stringify({ id: "a/x", content: 3 });
    const headers = { "content-type": "application/json", "cairn-client": "by-name 1" };
    await core.http("/operations/context_put", { method: "POST", headers, body });
    expect(clientsOf(await historyOf(core))).toEqual(["by-name 1", "curl-agent 1", undefined]);
    expect((await write({ "cairn-client": "" })).status).toBe(400);
    expect((await write({ "cairn-client": "Pr\xfcfer" })).status).toBe(400);
    // As a server gets it: a character for each byte.
    expect((await write({ "cairn-client": Buffer.from("Prüfer 🚀").toString("latin1") })).status).toBeLessThan(300);
    expect(clientsOf(await historyOf(core))[0]).toBe("Prüfer 🚀");
    const reader = granted({ role: "reader", spaces: ["*"] });
    expect((await core.http("/contexts/a/x", { method: "PUT", headers, body: "1" }, reader)).status).toBe(403);
    const { refusals } = await core.call("audit_query", {});
    expect(refusals).toMatchObject([{ client: "by-name 1" }]);
  });
});
