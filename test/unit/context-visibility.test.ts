// Who may read a context: random callers, agents, types, roles and writes, and every road against one plain model. A
// road that shows one context or version too many, or counts it, or hides one that may be read, fails.

import { expect, test } from "bun:test";
import { contextFeature } from "../../src/features/context/index.ts";
import { agentKeyOf } from "../../src/lib/agent-key.ts";
import { ResourceIndex } from "../../src/mcp/resource-index.ts";
import { Subscriptions } from "../../src/mcp/subscriptions.ts";
import type { Core } from "../kit/core.ts";
import { randomFrom } from "../kit/random-from.ts";
import { type Reader, readersOf, SPACES } from "../kit/readers.ts";
import { Someone, startSessions, user } from "../kit/sessions.ts";

interface Readers {
  visibility: string;
  to: readonly string[];
  owner: Reader;
  /** Type of the agent that decided it. */
  type: string | undefined;
}

/** What the model knows of a version, and of a context. */
interface Version extends Readers {
  text: string | undefined;
  position: string;
}
interface Doc {
  id: string;
  versions: Version[];
}

const NAMES = ["doc", "d0c", "plan", "p1an", "x", "y", "z"];
const WORD = "needle";

const spaceOf = (id: string) => id.split("/")[0] ?? "";
const newest = ({ versions }: Doc) => versions.at(-1) as Version;

/** The plain model, from docs/features.md 3. */
function isFor({ visibility, to, owner, type }: Readers, who: Reader): boolean {
  const isOwner = owner.login === who.login && (owner.agent === undefined || owner.agent === who.agent);
  if (visibility === "public") return true;
  if (visibility === "admin_only") return who.isAdmin;
  if (visibility === "agent_only") return isOwner || (type !== undefined && type === who.type);
  return isOwner || to.some((name) => name === who.agent || name === who.login);
}

const mayRead = (doc: Doc, who: Reader) => who.spaces.includes(spaceOf(doc.id)) && isFor(newest(doc), who);
const readable = (doc: Doc, who: Reader) => (mayRead(doc, who) ? doc.versions.filter((each) => isFor(each, who)) : []);
const isThere = (doc: Doc) => newest(doc).text !== undefined;

const codeOf = (error: unknown) => (error as { code?: string }).code ?? String(error);

/** Does one random write, and checks that it is refused where the model refuses it. */
async function writeOnce(
  core: Core,
  docs: Doc[],
  readers: readonly Reader[],
  n: number,
  random: (n: number) => number,
) {
  const pick = <T>(items: readonly T[]): T => items[random(items.length)] as T;
  const by = pick(readers);
  const id = `${pick(by.spaces)}/${pick(NAMES)}`;
  const doc = docs.find((each) => each.id === id);
  const kind = pick(
    doc === undefined && random(3) > 0 ? ["shared"] : ["put", "shared", "shared", "patch", "delete", "restore"],
  );
  const before = doc && newest(doc);
  const refusedWith = async (operation: string, input: Record<string, unknown>, code: string) =>
    expect([n, operation, by.label, await by.call(operation, input).then(() => "done", codeOf)]).toEqual([
      ...[n, operation, by.label, code],
    ]);
  if (doc !== undefined && !mayRead(doc, by)) {
    await refusedWith("context_put", { id, content: "x" }, "id_taken");
    await refusedWith("context_put", { id, content: "x", visibility: "public" }, "id_taken");
    await refusedWith("context_patch", { id, format: "edit", patch: { op: "append", text: "x" } }, "not_found");
    await refusedWith("context_delete", { id }, "not_found");
    await refusedWith("context_restore", { id, version: 1 }, "not_found");
    await refusedWith("context_many", { writes: [{ operation: "context_delete", id }] }, "not_found");
    return;
  }
  const text = `${WORD} ${n}`;
  const push = (readersNow: Readers, newText: string | undefined) => {
    const version = { ...readersNow, text: newText, position: core.invoker.position() };
    if (doc === undefined) docs.push({ id, versions: [version] });
    else doc.versions.push(version);
  };
  const kept: Readers = before ?? { visibility: "public", to: [], owner: by, type: undefined };
  if (kind === "put") {
    await by.call("context_put", { id, content: text, tags: ["t"] });
    push(kept, text);
  } else if (kind === "shared") {
    const visibility = pick(["public", "private", "private", "agent_only", "agent_only", "admin_only"]);
    const to = visibility === "private" ? [pick(readers), pick(readers)].map(({ agent, login }) => agent ?? login) : [];
    const input = { id, content: text, visibility, ...(visibility === "private" ? { to } : {}) };
    const isSame = before?.visibility === visibility && [...new Set(to)].join() === [...new Set(before.to)].join();
    const owner = before?.owner ?? by;
    const isOwner = owner.login === by.login && (owner.agent === undefined || owner.agent === by.agent);
    if (before?.visibility === "public" && visibility !== "public")
      return refusedWith("context_put", input, "invalid_input");
    if (before !== undefined && !isSame && !isOwner && !(before.visibility === "admin_only" && by.isAdmin))
      return refusedWith("context_put", input, "forbidden");
    if (!isSame && visibility === "agent_only" && by.type === undefined)
      return refusedWith("context_put", input, "invalid_input");
    await by.call("context_put", input);
    push(isSame && before !== undefined ? before : { visibility, to, owner, type: by.type }, text);
  } else if (before?.text !== undefined && doc !== undefined) {
    if (kind === "patch") {
      await by.call("context_patch", { id, format: "edit", patch: { op: "append", text: "!" } });
      push(kept, `${before.text}!`);
    } else if (kind === "delete") {
      await by.call("context_delete", { id });
      push(kept, undefined);
    } else {
      const version = 1 + random(doc.versions.length);
      const old = doc.versions[version - 1] as Version;
      const [lowest] = readable(doc, by);
      const isBelow = version - 1 < doc.versions.indexOf(lowest as Version);
      if (!isFor(old, by))
        return refusedWith("context_restore", { id, version }, isBelow ? "below_floor" : "not_found");
      if (old.text === undefined) return refusedWith("context_restore", { id, version }, "deleted");
      await by.call("context_restore", { id, version });
      push(kept, old.text);
    }
  }
}

test.each([1, 2, 3, 4])(
  "every road shows exactly what the model allows (seed %d)",
  async (seed) => {
    const random = randomFrom(seed);
    await using core = startSessions({ streamsPerCaller: 1000 });
    const readers = await readersOf(core);
    const subscriptions = new Subscriptions(core.invoker, new ResourceIndex([contextFeature]), () => {});
    const ids = SPACES.flatMap((space) => NAMES.map((name) => `${space}/${name}`));
    const updates = readers.map((who) => subscribe(subscriptions, who, ids));
    const since = core.invoker.position();
    const docs: Doc[] = [];
    for (let n = 0; n < 150; n += 1) await writeOnce(core, docs, readers, n, random);
    expect(new Set(docs.map((doc) => newest(doc).visibility)).size).toBeGreaterThan(2);
    for (const [at, who] of readers.entries()) {
      const where = `seed ${seed}, ${who.label}`;
      for (const doc of docs.filter(({ id }) => who.spaces.includes(spaceOf(id)))) await checkDoc(who, doc, where);
      await checkLists(who, docs, where);
      await checkFeed(core, who, since, docs, where);
      if (who.isAdmin) await checkExport(who, docs, where);
      // A notification is judged when it is sent: with the readers that the context had then.
      const told = new Set(updates[at]);
      for (const doc of docs) {
        const could = doc.versions.some((each) => who.spaces.includes(spaceOf(doc.id)) && isFor(each, who));
        expect([where, doc.id, told.has(doc.id)]).toEqual([where, doc.id, could]);
      }
    }
    subscriptions.close();
    expect((await core.call("audit_verify", {}))["ok"]).toBe(true);
  },
  120_000,
);

async function refusal(who: Reader, operation: string, input: Record<string, unknown>, id: string): Promise<string> {
  const fault = await who.call(operation, input).then(
    () => undefined,
    (error: { code: string; message: string; hint?: string }) => error,
  );
  // Of contexts that the caller may read, one that looks like it may be named.
  const [, meant = ""] = /^"(.*)" looks like it/.exec(fault?.hint ?? "") ?? [];
  const hint = meant === "" ? fault?.hint : await refusalOfNone(who, operation, input, meant);
  return `${fault?.code} ${fault?.message} ${hint}`.replaceAll(id, "ID");
}

/** Returns the hint of a context that is like no other, after checking that the named one may be read. */
async function refusalOfNone(who: Reader, operation: string, input: Record<string, unknown>, meant: string) {
  expect((await who.call("context_metadata", { id: meant }))["deleted"]).toBe(false);
  const none = { ...input, id: `${spaceOf(meant)}/none` };
  return who.call(operation, none).then(String, ({ hint }: { hint: string }) => hint);
}

/** One context by its id, in every version. What may not be read is as one that never was. */
async function checkDoc(who: Reader, doc: Doc, where: string): Promise<void> {
  const { id } = doc;
  const mine = readable(doc, who);
  const reads: [string, Record<string, unknown>][] = [
    ["context_get", {}],
    ["context_get", { version: 1 }],
    ["context_get", { at: newest(doc).position }],
    ["context_metadata", {}],
    ["context_history", {}],
    ["context_diff", { from: 1, to: 1 }],
    ["context_grep", { pattern: WORD }],
  ];
  if (!mayRead(doc, who)) {
    const absent = `${spaceOf(id)}/none`;
    for (const [operation, input] of reads)
      expect([where, id, operation, await refusal(who, operation, { ...input, id }, id)]).toEqual([
        ...[where, id, operation, await refusal(who, operation, { ...input, id: absent }, absent)],
      ]);
    return;
  }
  const { versions, floor } = await who.call("context_history", { id });
  const numbers = mine.map((each) => doc.versions.indexOf(each) + 1);
  expect([where, id, (versions as { version: number }[]).map(({ version }) => version).reverse()]).toEqual([
    ...[where, id, numbers],
  ]);
  expect([where, id, floor]).toEqual([where, id, numbers[0]]);
  const metadata = await who.call("context_metadata", { id });
  expect([metadata["floor"], metadata["versions"], metadata["deleted"]]).toEqual([
    ...[numbers[0], numbers.length, !isThere(doc)],
  ]);
  const { visibility } = newest(doc);
  expect(metadata["visibility"]).toBe(visibility === "public" ? undefined : visibility);
  for (const [index, each] of doc.versions.entries()) {
    const version = index + 1;
    const shown = await who.call("context_get", { id, version }).then(({ content }) => content, codeOf);
    const isBelow = version < (numbers[0] ?? 0);
    const expected = isFor(each, who) ? (each.text ?? "deleted") : isBelow ? "below_floor" : "not_found";
    expect([where, id, version, shown]).toEqual([where, id, version, expected]);
    const then = await who.call("context_get", { id, at: each.position }).then(({ content }) => content, codeOf);
    expect([where, id, version, then]).toEqual([where, id, version, expected]);
    const diff = await who.call("context_diff", { id, from: version, to: version }).then(() => "same", codeOf);
    expect([where, id, version, diff]).toEqual([where, id, version, isFor(each, who) && each.text ? "same" : expected]);
  }
  const found = await who.call("context_grep", { id, pattern: WORD }).then(({ matches }) => matches, codeOf);
  if (isThere(doc)) expect(found).toHaveLength(1);
  else expect(found).toBe("deleted");
}

async function checkLists(who: Reader, docs: readonly Doc[], where: string): Promise<void> {
  const mine = docs.filter((doc) => mayRead(doc, who) && isThere(doc)).map(({ id }) => id);
  const listed: string[] = [];
  for (let cursor: unknown; ; ) {
    const page = await who.call("context_list", { limit: 2, ...(cursor === undefined ? {} : { cursor }) });
    const contexts = page["contexts"] as { id: string; looks_like?: string[] }[];
    for (const { id, looks_like = [] } of contexts) {
      listed.push(id);
      for (const other of looks_like) expect([where, mine.includes(other)]).toEqual([where, true]);
    }
    cursor = page["cursor"];
    if (cursor === undefined) break;
  }
  expect([where, listed]).toEqual([where, mine.toSorted()]);
  const { matches } = await who.call("context_grep", { pattern: WORD });
  expect([where, (matches as { id: string }[]).map(({ id }) => id)]).toEqual([where, mine.toSorted()]);
  const primer = await who.call("prime");
  expect([where, (primer["recent"] as { id: string }[]).map(({ id }) => id).sort()]).toEqual([where, mine.toSorted()]);
  const spaces = primer["spaces"] as { space: string; contexts: number }[];
  for (const space of who.spaces)
    expect([where, spaces.find((each) => each.space === space)?.contexts ?? 0]).toEqual([
      ...[where, mine.filter((id) => spaceOf(id) === space).length],
    ]);
}

function subscribe(subscriptions: Subscriptions, who: Reader, ids: readonly string[]): string[] {
  const updates: string[] = [];
  const subscriber = subscriptions.open({
    caller: () => who.caller,
    agentKey: () => (who.handle === undefined ? undefined : agentKeyOf(who.handle)),
    free: () => true,
    updated: (uri) => void updates.push(decodeURIComponent(uri.slice("cairn:///".length))),
    listChanged: () => {},
  });
  for (const id of ids) subscriber.watch(`cairn:///${encodeURIComponent(id)}`);
  return updates;
}

/** The feed of all changes, as a wait, as a stream, and as the audit. */
async function checkFeed(core: Core, who: Reader, since: string, docs: readonly Doc[], where: string): Promise<void> {
  const expected = docs.flatMap((doc) => readable(doc, who).map(({ position }) => position)).sort();
  const as = who.handle === undefined ? {} : { as: who.handle };
  const waited = await who.call("context_wait", { since, timeout_seconds: 0 });
  const positions = (waited["changes"] as { position: string }[]).map(({ position }) => position);
  expect([where, positions.sort()]).toEqual([where, expected]);
  const call = { operation: "context_wait", input: { since, ...as }, caller: who.caller };
  const following = await core.invoker.follow({ ...call, signal: AbortSignal.timeout(20_000) });
  const shown = following.take(500).items.map(({ value }) => String(value["position"]));
  following.close();
  expect([where, shown.sort()]).toEqual([where, expected]);
  if (!who.isAdmin) return;
  const { rows } = await who.call("audit_query", { since, prefix: "team-", limit: 500 });
  const audited = (rows as { position: string }[]).map(({ position }) => position);
  expect([where, audited.sort()]).toEqual([where, expected]);
}

/** An export has all versions from which on there is none that may not be read, and it can be imported. */
async function checkExport(who: Reader, docs: readonly Doc[], where: string): Promise<void> {
  const { lines } = await who.call("context_export");
  const found = (lines as string[]).map((line) => JSON.parse(line) as { id: string; version: number });
  const expected = docs.flatMap((doc) => {
    if (!mayRead(doc, who)) return [];
    const from = doc.versions.findLastIndex((each) => !isFor(each, who)) + 1;
    return doc.versions.flatMap((_, index) => (index < from ? [] : [`${doc.id} ${index + 1}`]));
  });
  expect([where, found.map(({ id, version }) => `${id} ${version}`).sort()]).toEqual([where, expected.sort()]);
  await using other = startSessions();
  const import_ = { operation: "context_import", input: { lines }, caller: who.caller };
  const signal = AbortSignal.timeout(20_000);
  expect((await other.invoker.invoke({ ...import_, signal })).output["imported"]).toBe(expected.length);
  expect((await other.invoker.invoke({ ...import_, signal })).output["skipped"]).toBe(expected.length);
  expect((await other.call("audit_verify", {}))["ok"]).toBe(true);
  const again = await new Someone(other, user("zoe", { role: "admin", spaces: ["*"] })).call("context_list");
  const isForZoe = (doc: Doc) => ["public", "admin_only"].includes(newest(doc).visibility) && isThere(doc);
  const shown = docs.filter((doc) => mayRead(doc, who) && isForZoe(doc)).map(({ id }) => id);
  expect((again["contexts"] as { id: string }[]).map(({ id }) => id)).toEqual(shown.sort());
}
