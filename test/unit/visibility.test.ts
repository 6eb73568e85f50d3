// Who may read a row: the function and the SQL of one rule against a plain model, over random agents, types, roles and
// rows. Readers of changes: visible-changes.test.ts.

import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import fc from "fast-check";
import { ANYONE, type Viewer } from "../../src/operation/viewer.ts";
import {
  type Author,
  framedRecipients,
  mayRead,
  recipientOf,
  recipientsOf,
  VISIBILITIES,
  visibilityOf,
  visibleSql,
} from "../../src/operation/visibility.ts";

/** Who writes or reads, as the model has it. */
interface Person {
  caller: string;
  tags: string[];
  agent: string;
  /** The type that it says, and whether a grant lists it. */
  type: string;
  counts: boolean;
  admin: boolean;
}

interface Row {
  visibility: string;
  by: Person;
  to: string[];
}

const CALLERS = ["user:ann@x", "user:bob@x", "node:n1", "local:bridge"];
const AGENTS = ["", "one", "One", "two"];
const person = fc.record({
  caller: fc.constantFrom(...CALLERS),
  tags: fc.subarray(["tag:ci", "tag:db"]),
  agent: fc.constantFrom(...AGENTS),
  type: fc.constantFrom("", "coder", "reviewer"),
  counts: fc.boolean(),
  admin: fc.boolean(),
});
const row = fc.record({
  visibility: fc.constantFrom(...VISIBILITIES, "Public", "", "secret"),
  by: person,
  to: fc.array(
    fc.constantFrom(
      ...["one", "ONE", "two", "ann@x", "bob@x", "tag:ci", "tag:db", "node:n1", "three"],
      // Other names begin like these.
      ...["oneself", "ann@x.org", "tag:ci2", "node:n12"],
    ),
    { maxLength: 3 },
  ),
});

/** The rule in the words of features.md 3, with nothing of the code. */
function model({ visibility, by, to }: Row, reader: Person): boolean {
  const same = (one: string, other: string) => one.toLowerCase() === other.toLowerCase();
  const isWriter = reader.caller === by.caller && (by.agent === "" || same(reader.agent, by.agent));
  const isNamed = to.some((name) => {
    if (name.startsWith("tag:")) return reader.tags.includes(name);
    if (name.includes("@")) return reader.caller === `user:${name}`;
    if (name.includes(":")) return reader.caller === name;
    return reader.agent !== "" && same(reader.agent, name);
  });
  const typeOf = ({ agent, type, counts }: Person) => (agent !== "" && counts ? type : "");
  const isOfType = typeOf(by) !== "" && typeOf(by) === typeOf(reader);
  if (visibility === "public") return true;
  if (visibility === "private") return isWriter || isNamed;
  if (visibility === "agent_only") return isWriter || isOfType;
  return visibility === "admin_only" && reader.admin;
}

function viewerOf({ caller, tags, agent, type, counts, admin }: Person): Viewer {
  return {
    ...{ callers: [caller], tags, isAdmin: admin },
    ...(agent === "" ? {} : { agent }),
    ...(agent !== "" && counts && type !== "" ? { type } : {}),
  };
}

function authorOf({ caller, agent, type, counts }: Person): Author {
  return { caller, agent, type: agent !== "" && counts ? type : "" };
}

const COLUMNS = {
  visibility: "m.visibility",
  caller: "m.caller",
  agent: "m.agent",
  type: "m.type",
  to: "m.recipients",
};

function tableOf(rows: readonly Row[]): Database {
  const database = new Database(":memory:");
  database.run(
    "CREATE TABLE messages (n INTEGER, visibility TEXT, caller TEXT, agent TEXT, type TEXT, recipients TEXT)",
  );
  for (const [n, { visibility, by, to }] of rows.entries()) {
    const { caller, agent = "", type = "" } = authorOf(by);
    const framed = framedRecipients(to.map(recipientOf));
    database.run("INSERT INTO messages VALUES (?,?,?,?,?,?)", [n, visibility, caller, agent, type, framed]);
  }
  return database;
}

test("function and SQL agree with the model, whoever writes and reads", () => {
  let read = 0;
  let refused = 0;
  fc.assert(
    fc.property(
      fc.array(row, { minLength: 1, maxLength: 12 }),
      fc.array(person, { minLength: 1, maxLength: 4 }),
      (rows, readers) => {
        const table = tableOf(rows);
        for (const reader of readers) {
          const expected = rows.flatMap((each, n) => (model(each, reader) ? [n] : []));
          const viewer = viewerOf(reader);
          const byFunction = rows.flatMap(({ visibility, by, to }, n) =>
            mayRead({ visibility, author: authorOf(by), to: to.map(recipientOf) }, viewer) ? [n] : [],
          );
          const { sql, values } = visibleSql(COLUMNS, viewer);
          const bySql = table
            .query<{ n: number }, string[]>(`SELECT n FROM messages m WHERE ${sql} ORDER BY n`)
            .all(...values);
          expect(byFunction).toEqual(expected);
          expect(bySql.map(({ n }) => n)).toEqual(expected);
          read += expected.length;
          refused += rows.length - expected.length;
        }
        table.close();
      },
    ),
    { numRuns: 400 },
  );
  // Neither side is empty.
  expect(Math.min(read, refused)).toBeGreaterThan(500);
});

test("anyone reads what is public, by function and SQL", () => {
  fc.assert(
    fc.property(row, ({ visibility, by, to }) => {
      const table = tableOf([{ visibility, by, to }]);
      const { sql, values } = visibleSql(COLUMNS, ANYONE);
      const found = table.query(`SELECT n FROM messages m WHERE ${sql}`).all(...values).length === 1;
      table.close();
      const isRead = mayRead({ visibility, author: authorOf(by), to: to.map(recipientOf) }, ANYONE);
      expect([isRead, found]).toEqual([visibility === "public", visibility === "public"]);
    }),
  );
});

test("rows without a type are read by their author, and by no viewer without one", () => {
  const author = { caller: "user:ann@x" };
  const viewer: Viewer = { callers: ["user:bob@x"], tags: [], agent: "one", isAdmin: false };
  for (const each of [author, { ...author, type: "" }])
    expect(mayRead({ visibility: "agent_only", author: each, to: [] }, viewer)).toBe(false);
});

test("an unknown word is an error where it is written, and is read by no one", () => {
  for (const word of VISIBILITIES) expect(visibilityOf(word)).toBe(word);
  for (const word of ["", "Public", "public ", "all", "constructor", "\u0440ublic"]) {
    expect(() => visibilityOf(word)).toThrow(expect.objectContaining({ code: "invalid_input" }));
    const admin: Viewer = { callers: ["user:ann@x"], tags: [], agent: "one", type: "coder", isAdmin: true };
    const author = { caller: "user:ann@x", agent: "one", type: "coder" };
    expect(mayRead({ visibility: word, author, to: ["agent:one", "user:ann@x"] }, admin)).toBe(false);
  }
});

test("recipients are agents, logins, tags and callers, and nothing that could be taken for two of them", () => {
  const known: [string, string][] = [
    ...([
      ["Builder", "agent:builder"],
      ["ann@example.com", "user:ann@example.com"],
      ["ann@", "user:ann"],
    ] as const),
    ...([
      ["tag:ci", "tag:ci"],
      ["user:ann", "user:ann"],
      ["local:bridge@n1", "local:bridge@n1"],
    ] as const),
  ].map(([text, is]) => [text, is]);
  for (const [text, is] of known) expect(recipientOf(text)).toBe(is);
  for (const text of [
    "",
    "a\nuser:bob@x",
    "ann@x\n",
    "agent:one",
    "tag:",
    "tag:a b",
    "user:",
    "@",
    "a b",
    "x@y@z",
    "é",
  ])
    expect(() => recipientOf(text)).toThrow(expect.objectContaining({ code: "invalid_input" }));
  for (const to of [[], ["agent:one"], ["agent:one", "user:ann@x"]])
    expect(recipientsOf(framedRecipients(to))).toEqual(to);
});
