// Which listener identifies a request as which caller, and which headers it removes (security.md 16).

import { expect, test } from "bun:test";
import { Fault } from "../../src/lib/fault.ts";
import { Callers } from "../../src/node/listeners/callers.ts";
import { identifyIngress, identifyLocal, identifyLoopback } from "../../src/node/listeners/identify.ts";
import { Conditions } from "../../src/observe/conditions.ts";

const SECRET = "5e".repeat(32);
const HASH = "ab".repeat(16);
const wire = {
  v: 1,
  id: "n1",
  kind: "user",
  node: "laptop",
  login: "a@example.com",
  userId: "7",
  tags: [],
  own: false,
  grants: "",
};

function callers(grants: (hash: string) => Promise<unknown[]> = async () => [], problems: readonly string[] = []) {
  const conditions = new Conditions(() => {});
  return { conditions, callers: new Callers({ grants, problems: () => problems, conditions }) };
}

function request(headers: Record<string, string>): Request {
  return new Request("http://cairn/contexts", { headers });
}

async function refusal(run: () => unknown): Promise<string> {
  try {
    await run();
  } catch (error) {
    if (error instanceof Fault) return error.code;
    throw error;
  }
  return "let in";
}

test("ingress lets in what shows the secret, as the caller of the header, and takes both headers off", async () => {
  const identify = identifyIngress(SECRET, callers().callers);
  const asked = request({
    "cairn-internal-secret": SECRET,
    "cairn-internal-caller": JSON.stringify(wire),
    "cairn-internal-scheme": "https",
  });
  expect(await identify(asked, "/contexts")).toEqual({
    kind: "user",
    id: "n1",
    node: "laptop",
    login: "a@example.com",
    tags: [],
    own: false,
    grants: [],
  });
  expect([...asked.headers.keys()]).toEqual(["cairn-internal-scheme"]);
});

test.each([
  ["no secret", {}],
  ["an empty secret", { "cairn-internal-secret": "" }],
  ["a shorter secret", { "cairn-internal-secret": SECRET.slice(1) }],
  ["a longer secret", { "cairn-internal-secret": `${SECRET}0` }],
  ["another secret of the same length", { "cairn-internal-secret": `${SECRET.slice(0, -1)}f` }],
  ["the secret twice", { "cairn-internal-secret": `${SECRET}, ${SECRET}` }],
])("ingress refuses %s", async (_name, headers: Record<string, string>) => {
  const identify = identifyIngress(SECRET, callers().callers);
  const asked = request({ "cairn-internal-caller": JSON.stringify(wire), ...headers });
  expect(await refusal(() => identify(asked, "/"))).toBe("forbidden");
  expect(asked.headers.get("cairn-internal-secret")).toBeNull();
});

test.each([
  ["nothing", undefined],
  ["no JSON", "{"],
  ["another version", JSON.stringify({ ...wire, v: 2 })],
  ["a local caller", JSON.stringify({ ...wire, kind: "local" })],
  ["no id", JSON.stringify({ ...wire, id: "" })],
  ["grants that are no hash", JSON.stringify({ ...wire, grants: "../x" })],
])("ingress refuses a caller header of %s", async (_name, header) => {
  const identify = identifyIngress(SECRET, callers().callers);
  const asked = request({
    "cairn-internal-secret": SECRET,
    ...(header === undefined ? {} : { "cairn-internal-caller": header }),
  });
  expect(await refusal(() => identify(asked, "/"))).toBe("internal");
});

test("grants are fetched once for a hash, and one state of a caller is one object", async () => {
  let asked = 0;
  const { callers: known } = callers(async () => {
    asked += 1;
    return [{ role: "reader", spaces: ["*"] }];
  });
  const text = JSON.stringify({ ...wire, grants: HASH });
  const first = await known.of(text);
  expect(first.grants).toEqual([{ role: "reader", spaces: ["*"] }]);
  expect(await known.of(text)).toBe(first);
  await known.of(JSON.stringify({ ...wire, id: "n2", grants: HASH }));
  expect(asked).toBe(1);
});

test("grants that are gone are a retryable refusal, never no grants, and are asked for again", async () => {
  let fails = true;
  const { callers: known } = callers(async () => {
    if (fails) throw new Fault("not_found", "gone");
    return [1];
  });
  const text = JSON.stringify({ ...wire, grants: HASH });
  expect(await refusal(() => known.of(text))).toBe("unavailable");
  fails = false;
  expect((await known.of(text)).grants).toEqual([1]);
});

test("a grant that is worth nothing is a condition until that caller comes with a better one", async () => {
  const conditions = new Conditions(() => {});
  const known = new Callers({
    grants: async (hash) => [hash],
    problems: (caller) => (caller.grants[0] === HASH ? ["object 1 grants nothing"] : []),
    conditions,
  });
  await known.of(JSON.stringify({ ...wire, grants: HASH }));
  expect(conditions.has("grant_invalid")).toBe(true);
  await known.of(JSON.stringify({ ...wire, id: "n2", grants: "cd".repeat(16) }));
  expect(conditions.has("grant_invalid")).toBe(true);
  await known.of(JSON.stringify({ ...wire, grants: "cd".repeat(16) }));
  expect(conditions.has("grant_invalid")).toBe(false);
});

test("the local socket is admin, on /mcp the bridge, and never whom a header names", async () => {
  const identify = identifyLocal();
  const headers = { "cairn-internal-caller": JSON.stringify(wire), "cairn-internal-secret": SECRET };
  const asked = request(headers);
  expect(await identify(asked, "/contexts")).toMatchObject({ kind: "local", id: "local" });
  expect([...asked.headers.keys()]).toEqual([]);
  expect(await identify(request(headers), "/mcp")).toMatchObject({ kind: "local", id: "local:bridge" });
  for (const path of ["/mcp/collaboration", "/mcp/collaboration/", "/mcp/unknown", "/mcp/"])
    expect(await identify(request(headers), path)).toMatchObject({ kind: "local", id: "local:bridge" });
  expect(await identify(request({}), "/mcps")).toMatchObject({ id: "local" });
});

test("the loopback port is a member for its own host and origin only", async () => {
  const identify = identifyLoopback(() => 8470, ["https://tools.example.com"]);
  expect(await identify(request({ host: "127.0.0.1:8470" }), "/mcp")).toMatchObject({ kind: "local", id: "local:dev" });
  expect(await refusal(() => identify(request({ host: "127.0.0.1:8471" }), "/"))).toBe("misdirected");
  expect(await refusal(() => identify(request({ host: "localhost:8470", origin: "http://evil.example" }), "/"))).toBe(
    "forbidden",
  );
  expect(
    await refusal(() => identify(request({ host: "localhost:8470", origin: "https://tools.example.com" }), "/")),
  ).toBe("let in");
});

test("a caller whose name no entry of the log could hold is refused at the door", async () => {
  const named = (length: number) => ({ ...wire, login: "a".repeat(length - "user:".length) });
  expect(await refusal(() => callers().callers.of(JSON.stringify(named(512))))).toBe("let in");
  expect(await refusal(() => callers().callers.of(JSON.stringify(named(513))))).toBe("forbidden");
  expect(await refusal(() => callers().callers.of(JSON.stringify(named(4000))))).toBe("forbidden");
});
