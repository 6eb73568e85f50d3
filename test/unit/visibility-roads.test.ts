// Who sees what, by every road there is: random callers, agents, types, roles and rows against one plain model.
// Each row has a word of its own, which is looked for in all that comes back, so a preview or a refusal that gives
// a row away is found too. The roads are in kit/roads.ts.

import { expect, test } from "bun:test";
import type { Caller } from "../../src/access/caller.ts";
import {
  agentMemoryFeature,
  collaborationFeature,
  serverInfoFeature,
  toolDocsFeature,
} from "../../src/features/collaboration/index.ts";
import { FEATURES, OPERATIONS } from "../../src/features/index.ts";
import { graphFeature, memoryFeature } from "../../src/features/memory/index.ts";
import { openaiFeature } from "../../src/features/openai/index.ts";
import { callerWith } from "../kit/core.ts";
import { startMcpServer } from "../kit/mcp-server.ts";
import { randomFrom } from "../kit/random-from.ts";
import { type Kind, type Places, ROADS, type Road, type Roads } from "../kit/roads.ts";
import { Searched } from "../kit/search.ts";
import { Someone } from "../kit/sessions.ts";

const SEED = Number(process.env["CAIRN_TEST_SEED"] ?? 20_261_129);
const SPACES = ["team-a", "default"];
const VISIBILITIES = ["public", "private", "agent_only", "admin_only"];
const WORD = "needle";
const LAST = "lastofall";

/** Read operations that show no rows of these kinds, and those that write. */
const WITHOUT_ROWS = new Set([
  ...["whoami", "access_explain", "agent_list", "space_settings", "audit_verify", "memory_places"],
  ...["node_status", "fleet_members", "fleet_settings", "lease_list", "lease_wait", "lease_renew"],
  // The right to read an event is that to read its space.
  ...["event_list", "event_get", "event_wait", "events_recent", "event_types", "event_poll"],
  ...["event_target_list", "subscription_list", "subscription_get", "subscription_test", "dead_letter_list"],
  ...["event_replay_count", "event_stats", "event_topology", "event_classify", "event_target_test"],
  ...["event_log_get", "event_log_move"],
  // The right to read a blob is that to read its space; what refers to it is counted where it is public.
  ...["blob_get", "blob_stat", "blob_list"],
  // What is declared is for all readers of the space fleet.
  ...["declaration_list", "declaration_kinds", "declaration_plan", "declaration_apply"],
  // The right to see a probe is that to read its space.
  ...["probe_list", "probe_get", "probe_check", "probe_beat"],
  // So is that to see a job.
  ...["rule_list", "rule_plan"],
  ...["job_list", "job_get", "job_wait", "job_output", "job_heartbeat", "job_work"],
  // And that to see a service.
  ...["service_list", "service_get", "service_plan", "service_output", "service_work", "service_open"],
  ...["tas_target_list", "tas_target_get", "tas_forwarding_metrics"],
  ...["tas_target_create", "tas_target_update", "tas_target_remove"],
  ...["get_usage_guidance", "get_performance_metrics", "store_growth", "search_model"],
  ...["node_log_levels", "node_reload"],
]);

interface Person {
  label: string;
  login: string;
  names: readonly string[];
  role: "reader" | "member" | "admin" | "none";
  spaces: readonly string[];
  /** Types that count, by space. */
  types: Readonly<Record<string, readonly string[]>>;
  caller: Caller;
}
interface Reader {
  person: Person;
  as: Someone;
  label: string;
  agent: string;
  type: string;
}
interface Row {
  kind: Kind;
  space: string;
  visibility: string;
  to: readonly string[];
  by: Reader;
  /** Words that only this row has. */
  words: string[];
  /** Words in its id. */
  idWord: string;
}

/** A word that was taken back: by a retraction, or by an edit of a row, whose versions have it. */
interface Gone {
  word: string;
  row?: Row;
}

/** The plain model: docs/features.md 3. */
function maySee({ space, visibility, to, by }: Row, { person, agent, type }: Reader): boolean {
  if (!person.spaces.includes(space)) return false;
  const counts = (of: Person, name: string) => name !== "" && (of.types[space] ?? []).includes(name);
  const isAuthor = by.person.login === person.login && (by.agent === "" || by.agent === agent);
  switch (visibility) {
    case "public":
      return true;
    case "admin_only":
      return person.role === "admin";
    case "agent_only":
      return isAuthor || (by.type === type && counts(by.person, by.type) && counts(person, type));
    default:
      return isAuthor || to.some((name) => name === agent || person.names.includes(name));
  }
}

function personOf(
  login: string,
  role: Person["role"],
  types: Record<string, string[]>,
  more: Partial<Caller> = {},
): Person {
  const grants = Object.entries(types).map(([space, listed]) => ({
    ...{ role, spaces: [space] },
    ...(listed.length === 0 ? {} : { agent_types: listed }),
  }));
  const names = more.kind === "tagged" ? (more.tags ?? []) : [`${login}@example.com`];
  const caller = callerWith({
    ...{ id: `n${login}`, login: more.kind === "tagged" ? "" : `${login}@example.com`, ...more },
    grants: role === "none" ? [] : grants,
  });
  return { label: login, login, names, role, spaces: role === "none" ? [] : Object.keys(types), types, caller };
}

const PEOPLE = [
  personOf("ann", "member", { "team-a": ["reviewer", "builder"], default: ["builder"] }),
  personOf("bob", "member", { "team-a": ["reviewer"] }),
  personOf("cia", "member", { default: ["builder", "reviewer"] }, { kind: "tagged", tags: ["tag:ci"] }),
  personOf("rob", "reader", { "team-a": [], default: [] }),
  personOf("ada", "admin", { "team-a": ["builder"], default: ["reviewer"] }),
  personOf("eve", "none", {}),
];
const TYPES: Record<string, string[]> = {
  ann: ["reviewer", "builder", "unlisted"],
  bob: ["reviewer", "builder"],
  cia: ["builder"],
  ada: ["builder", "reviewer"],
};

async function readersOf(node: Searched): Promise<Reader[]> {
  const readers: Reader[] = [];
  for (const person of PEOPLE) {
    const itself = new Someone(node.core, person.caller);
    readers.push({ person, as: itself, label: person.label, agent: "", type: "" });
    for (const type of TYPES[person.label] ?? []) {
      const agent = `${person.label}-${type}`;
      readers.push({ person, as: await itself.as(agent, type), label: agent, agent, type });
    }
  }
  return readers;
}

/** Writes random rows, and returns them and where to look for them. */
async function writeRows(node: Searched, readers: readonly Reader[], random: (n: number) => number, count: number) {
  const pick = <T>(items: readonly T[]): T => items[random(items.length)] as T;
  const writers = readers.filter(({ person }) => person.role === "member" || person.role === "admin");
  const first = writers.find(({ label }) => label === "ann") as Reader;
  const sessions = await Promise.all(SPACES.map((space) => first.as.create("Work", space)));
  const since = node.core.invoker.position();
  const rows: Row[] = [];
  const messages: { session: string; id: string }[] = [];
  const ids: string[] = [];
  let words = 0;
  const newWord = () => `w${(words++).toString(36).padStart(3, "0")}${random(36 ** 4).toString(36)}q`;
  const post = async (row: Row, session: string, more: Record<string, unknown>) => {
    const text = `${WORD} ${row.words[0]}`;
    const id = await row.by.as.post(session, text, { metadata: { note: row.words[0] }, ...more });
    messages.push({ session, id });
    if (random(5) > 0) return;
    const [old = ""] = row.words;
    row.words = [newWord()];
    const metadata = { note: row.words[0] };
    if (random(2) === 0) {
      gone.push({ word: old, row });
      await row.by.as.call("message_edit", { session, message: id, text: `${WORD} ${row.words[0]}`, metadata });
    } else {
      gone.push({ word: old });
      await row.by.as.call("message_retract", { session, message: id });
      rows.splice(rows.indexOf(row), 1);
    }
  };
  const gone: Gone[] = [];
  for (let n = 0; n < count; n += 1) {
    const by = pick(writers);
    const space = pick(by.person.spaces);
    const kind = pick<Kind>(["message", "message", "context", "memory"]);
    const visibility = pick(kind === "memory" ? ["public", "private"] : VISIBILITIES);
    if (visibility === "agent_only" && !(by.person.types[space] ?? []).includes(by.type)) continue;
    const named = [pick(readers), pick(readers)].map(({ agent, person }) => (agent === "" ? person.names[0] : agent));
    const to = visibility === "private" && random(4) > 0 ? (named as string[]) : [];
    const word = newWord();
    const row: Row = { kind, space, visibility, to, by, words: [word], idWord: newWord() };
    rows.push(row);
    const readable = visibility === "private" ? { visibility, to } : { visibility };
    if (kind === "message") {
      const session = sessions[SPACES.indexOf(space)] ?? "";
      const { agent } = pick(readers);
      await post(row, session, { ...readable, ...(agent === "" ? {} : { mentions: [agent] }) });
      continue;
    }
    const about = { title: `About ${word}`, tags: [word], metadata: { note: word } };
    if (kind === "context") {
      const id = `${space}/${row.idWord}`;
      ids.push(id);
      const content = `${WORD} ${word}`;
      await by.as.call("context_put", { id, content, content_type: "text/plain", ...about, ...readable });
    } else {
      const scope = visibility === "private" ? { scope: "own", to } : { scope: "shared" };
      const stored = { key: row.idWord, value: `${WORD} ${word}`, space, ...about, ...scope };
      ids.push(String((await by.as.call("memory_store", stored))["id"]));
    }
  }
  for (const session of sessions) await first.as.post(session, LAST);
  for (const space of SPACES) await first.as.call("context_put", { id: `${space}/${LAST}`, content: LAST });
  const senders = PEOPLE.flatMap(({ label, names, caller }) => [
    ...[...names, `node:${caller.id}`],
    ...(TYPES[label] ?? []).map((type) => `${label}-${type}`),
  ]);
  const places: Places = { sessions, spaces: SPACES, messages, ids, since, word: WORD, last: LAST, senders };
  return { rows, gone, places };
}

/** Goes a road as somebody, and compares what was seen with the model. */
async function check(road: Road, roads: Roads, who: Reader, rows: readonly Row[], gone: readonly Gone[]) {
  const text = await road.go(roads, who.as);
  if (process.env.DBG && who.label === "ann" && road.shows.length === 0)
    console.log(road.name, text.length, text.slice(0, 250));
  const seen = (row: Row) => row.words.some((word) => text.includes(word));
  const shown = (row: Row) => seen(row) || (road.byId !== true && text.includes(row.idWord));
  const about = ({ kind, space, visibility, to, by, idWord }: Row) =>
    `${kind} ${idWord} in ${space}: ${visibility} of ${by.label} to ${to.join()}`;
  const forbidden = rows.filter((row) => shown(row) && !maySee(row, who)).map(about);
  const isOpen = road.ofAdmins !== true || who.person.role === "admin";
  const missing = rows
    .filter((row) => isOpen && road.shows.includes(row.kind) && maySee(row, who) && !shown(row))
    .map(about);
  const isHistory = (row: Row | undefined) => road.versions === true && row !== undefined && maySee(row, who);
  const old = gone.filter(({ word, row }) => text.includes(word) && !isHistory(row)).map(({ word }) => word);
  const nothing = { forbidden: [], missing: [], old: [] };
  expect([road.name, who.label, { forbidden, missing, old }]).toEqual([road.name, who.label, nothing]);
}

/** Searches for the word of a row: as it is, for a part of it, and mistyped. */
async function checkSearch(node: Searched, who: Reader, row: Row) {
  const [word = ""] = row.words;
  for (const query of [word, word.slice(1), `${word.slice(0, -1)}x ${WORD}`]) {
    const hits = await node.search(query, { limit: 50 }, who.as.caller, who.as.handle);
    const isFound = JSON.stringify(hits.map(({ preview }) => preview)).includes(word);
    if (query === word || isFound) expect([who.label, query, isFound]).toEqual([who.label, query, maySee(row, who)]);
  }
}

test.each([SEED, SEED + 1])(
  "every road shows exactly what the model allows (seed %d)",
  async (seed) => {
    console.log(`seed ${seed}`);
    const collaboration = [collaborationFeature, agentMemoryFeature, serverInfoFeature, toolDocsFeature];
    const features = [memoryFeature, graphFeature, ...collaboration, openaiFeature];
    await using node = new Searched({ streamsPerCaller: 1000 }, features);
    await using server = startMcpServer(node.core, { features: FEATURES.filter(({ name }) => name !== "fleet") });
    const random = randomFrom(seed);
    const readers = await readersOf(node);
    const { rows, gone, places } = await writeRows(node, readers, random, 60);
    expect(new Set(rows.map(({ kind, visibility }) => `${kind} ${visibility}`)).size).toBe(10);
    await node.index.reach(node.core.log.position().seq, 10_000, new AbortController().signal);
    const roads: Roads = { node, mcp: server.mcp, places };
    for (const who of readers)
      for (const road of ROADS)
        if (who.agent === "" || road.withoutAgent !== true) await check(road, roads, who, rows, gone);
    for (const who of readers.filter(({ person }) => person.role !== "none"))
      for (const row of rows) await checkSearch(node, who, row);
    expect(node.core.unexpected).toEqual([]);
  },
  120_000,
);

test("there is a road for every operation that reads rows", () => {
  const reading = OPERATIONS.filter(({ kind, access }) => kind !== "write" && access.verb !== "write");
  const covered = new Set(ROADS.flatMap(({ covers = [] }) => covers));
  const open = reading.map(({ name }) => name).filter((name) => !covered.has(name) && !WITHOUT_ROWS.has(name));
  expect(open.filter((name) => !/^(fleet|backup)_/.test(name))).toEqual([]);
});

test("there is a road for every page", () => {
  const paths = FEATURES.flatMap(({ pages = [] }) => pages.map(({ path }) => path));
  const names = ROADS.map(({ name }) => name);
  expect(paths.filter((path) => !names.some((name) => name.startsWith(`page ${path}`)))).toEqual([]);
});
