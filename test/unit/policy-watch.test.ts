// The policy file while the node runs: valid changes count soon, invalid ones keep the old policy and say so.

import { afterEach, expect, test } from "bun:test";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Access } from "../../src/access/access.ts";
import { loadPolicyFile } from "../../src/access/policy-file.ts";
import { type PolicyWatch, watchPolicy } from "../../src/node/listeners/policy-watch.ts";
import { Conditions } from "../../src/observe/conditions.ts";
import { callerWith } from "../kit/core.ts";
import { eventually } from "../kit/eventually.ts";
import { inTime } from "../kit/in-time.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const CAPABILITY = "cairn.internal/cap/cairn";
const alice = callerWith({ login: "alice@example.com" });
let watch: PolicyWatch | undefined;
afterEach(() => watch?.stop());

function policyText(role: string): string {
  return JSON.stringify({
    grants: [{ src: ["alice@example.com"], app: { [CAPABILITY]: [{ role, spaces: ["team-a"] }] } }],
  });
}

function start(text: string) {
  const path = join(temporaryFolder(), "policy.json");
  writeFileSync(path, text, { mode: 0o600 });
  const access = new Access({ capability: CAPABILITY, defaultRole: "none", admins: [] });
  const conditions = new Conditions(() => {});
  const changes = { count: 0 };
  watch = watchPolicy({ path, capability: CAPABILITY, access, conditions, onChange: () => (changes.count += 1) });
  const roles = (): string[] => access.rights({ ...alice }).grants.map((grant) => grant.role);
  /** Puts the new text in place in one step, as editors do. */
  const replace = (next: string): void => {
    writeFileSync(`${path}.new`, next, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  };
  return { path, conditions, changes, roles, replace };
}

test("a changed file counts within two seconds, and open connections hear of it", async () => {
  const { roles, replace, changes } = start(policyText("reader"));
  expect(roles()).toEqual(["reader"]);
  replace(policyText("member"));
  await inTime(
    2_000,
    eventually("the new policy", () => roles()[0] === "member"),
  );
  expect(changes.count).toBe(1);
});

test.each([
  ["that is no JSON", "{"],
  ["with an unknown field", '{"grants": [], "acls": []}'],
])("a file %s keeps the old policy and raises a condition until it is mended", async (_name, text) => {
  const { roles, replace, conditions, changes } = start(policyText("reader"));
  replace(text);
  await eventually("the condition", () => conditions.has("policy_invalid"));
  expect(roles()).toEqual(["reader"]);
  expect(changes.count).toBe(0);
  replace(policyText("operator"));
  await eventually("the mended policy", () => roles()[0] === "operator");
  expect(conditions.has("policy_invalid")).toBe(false);
});

test("a file that is removed keeps the old policy", async () => {
  const { path, roles, conditions } = start(policyText("reader"));
  rmSync(path);
  await eventually("the condition", () => conditions.has("policy_invalid"));
  expect(roles()).toEqual(["reader"]);
});

test("a grant object that is worth nothing is a condition at the start already", () => {
  const { roles, conditions } = start(policyText("emperor"));
  expect(roles()).toEqual([]);
  expect(conditions.list()[0]?.code).toBe("policy_invalid");
});

test("reload reads the file at once", () => {
  const { roles, replace } = start(policyText("reader"));
  replace(policyText("admin"));
  watch?.reload();
  expect(roles()).toEqual(["admin"]);
});

test("a FIFO in its place is refused without waiting for a writer, and the old policy stays", async () => {
  const { path, roles, conditions } = start(policyText("reader"));
  rmSync(path);
  expect(Bun.spawnSync(["mkfifo", "-m", "600", path]).exitCode).toBe(0);
  await eventually("the condition", () => conditions.has("policy_invalid"));
  expect(roles()).toEqual(["reader"]);
  expect(() => loadPolicyFile(path, CAPABILITY)).toThrow("it is not a regular file");
});

test("a policy of more bytes than the bound is refused by what was read", async () => {
  const { path } = start(policyText("reader"));
  writeFileSync(path, `${policyText("member")}${" ".repeat(1024 * 1024)}`);
  expect(() => loadPolicyFile(path, CAPABILITY)).toThrow("it has more than 1048576 bytes");
});

test.each(["autogroup:member", "group:ops", "*@example.com", "user:*"])(
  "a source that can match no one (%s) is named",
  (src) => {
    const { path } = start(policyText("reader"));
    writeFileSync(path, JSON.stringify({ grants: [{ src: [src, "*", "ann@", "tag:a"], app: {} }] }));
    expect(loadPolicyFile(path, CAPABILITY).problems).toEqual([
      `${path}, grant 1: src ${JSON.stringify(src)} matches nobody here: name a login, a tag, a node id, or *`,
    ]);
  },
);
