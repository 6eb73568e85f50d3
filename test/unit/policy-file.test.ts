// The policy file (security.md 6): whom its rules reach, and which files are refused as ones that others could write.

import { expect, spyOn, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadPolicyFile, type Policy, policyGrants, policyJoinRoles } from "../../src/access/policy-file.ts";
import { CAPABILITY, callerWith, localAdmin } from "../kit/core.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const rule = (src: string[], ...objects: unknown[]) => ({ src, app: { [CAPABILITY]: objects } });
const member = (space: string) => ({ role: "member", spaces: [space] });

/** Writes a policy of these rules into a folder. */
function written(rules: unknown[], folder = temporaryFolder()): string {
  const path = join(folder, "policy.json");
  writeFileSync(path, JSON.stringify({ grants: rules }), { mode: 0o600 });
  return path;
}

const load = (...rules: unknown[]): Policy => loadPolicyFile(written(rules), CAPABILITY);
const spacesFor = (policy: Policy, caller = callerWith()) =>
  policyGrants(policy, caller).flatMap(({ source, grant }) => [source, ...grant.spaces]);

test("each rule that names a caller by one of its sources gives its grants, and says which rule it is", () => {
  const policy = load(
    rule(["bob@example.com", "alice@example.com"], member("a"), member("b")),
    rule(["bob@example.com"], member("c")),
    rule(["*"], member("d")),
    { src: ["*"], app: { "another.example/cap": [member("e")] } },
  );
  const first = "grant 1 of the policy file";
  expect(spacesFor(policy)).toEqual([first, "a", first, "b", "grant 3 of the policy file", "d"]);
  expect(spacesFor(policy, callerWith({ login: "bob@example.com" }))).toContain("c");
  expect(spacesFor(policy, callerWith({ login: "" }))).toEqual(["grant 3 of the policy file", "d"]);
  expect(policy.problems).toEqual([]);
});

test("a tag names tagged nodes that have it, a login users, and nothing a local caller", () => {
  const policy = load(rule(["tag:a"], member("tagged")), rule(["alice@example.com", "tag:b"], member("user")));
  const tagged = (...tags: string[]) => callerWith({ kind: "tagged", tags, login: "alice@example.com" });
  const reached = (caller: ReturnType<typeof callerWith>) =>
    policyGrants(policy, caller).flatMap(({ grant }) => grant.spaces);
  expect(reached(tagged("tag:x", "tag:a"))).toEqual(["tagged"]);
  expect(reached(tagged("tag:x"))).toEqual([]);
  expect(reached(callerWith({ login: "tag:a", tags: ["tag:a"] }))).toEqual([]);
  expect(reached(callerWith({ kind: "shared" }))).toEqual(["user"]);
  expect(reached({ ...localAdmin, login: "alice@example.com" })).toEqual([]);
  expect(reached({ ...localAdmin, id: "tag:a", tags: ["tag:a"] })).toEqual([]);
});

test("join lets the sources of its rule in, and no local caller", () => {
  const policy = load(
    rule(["nALICE"], { join: ["edge"] }),
    rule(["*"], member("a")),
    rule(["x@y"], { join: ["edge"] }),
  );
  expect(policyJoinRoles(policy, callerWith())).toEqual(["edge"]);
  expect(policyJoinRoles(policy, callerWith({ id: "nBOB" }))).toEqual([]);
  expect(policyJoinRoles({ rules: [{ src: ["*"], grants: [] }], problems: [] }, callerWith())).toEqual([]);
  expect(policyJoinRoles(policy, { ...localAdmin, id: "nALICE" })).toEqual([]);
});

test("an object that grants nothing is a problem that names file and rule", () => {
  const path = written([rule(["*"], member("a")), rule(["*"], { role: "king" })]);
  expect(loadPolicyFile(path, CAPABILITY).problems).toEqual([expect.stringContaining(`${path}, grant 2, object 1`)]);
});

test.each([
  ["others of its group can write it", 0o620, "others can write"],
  ["everyone can write it", 0o602, "others can write"],
  ["others can write it and its sticky bit is set", 0o1602, "others can write"],
])("a file is refused where %s", (_name, mode, says) => {
  const path = written([]);
  chmodSync(path, mode);
  expect(() => loadPolicyFile(path, CAPABILITY)).toThrow(says);
});

test("a folder that others can write counts, however far up, unless only owners may replace what is in it", () => {
  const top = temporaryFolder();
  mkdirSync(join(top, "a/b"), { recursive: true });
  const path = written([], join(top, "a/b"));
  expect(loadPolicyFile(path, CAPABILITY).rules).toEqual([]);
  chmodSync(join(top, "a"), 0o777);
  expect(() => loadPolicyFile(path, CAPABILITY)).toThrow(`others can write ${join(top, "a")} `);
  chmodSync(join(top, "a"), 0o1777);
  expect(loadPolicyFile(path, CAPABILITY).rules).toEqual([]);
  symlinkSync(join(top, "a/b"), join(top, "link"));
  expect(() => loadPolicyFile(join(top, "link/policy.json"), CAPABILITY)).toThrow(`${top}/link is a symbolic link`);
});

test("what is no regular file is refused, and so is one that is too large", () => {
  expect(() => loadPolicyFile(temporaryFolder(), CAPABILITY)).toThrow("not a regular file");
  const fifo = join(temporaryFolder(), "fifo");
  Bun.spawnSync(["mkfifo", "-m", "600", fifo]);
  expect(() => loadPolicyFile(fifo, CAPABILITY)).toThrow("not a regular file");
  const path = written([rule(["x".repeat(256)], ...Array(1000).fill({ role: "x".repeat(2000) }))]);
  expect(() => loadPolicyFile(path, CAPABILITY)).toThrow("cannot be used");
});

test.skipIf(process.getuid?.() !== 0)("a file or folder of another user is refused [needs root]", () => {
  const folder = temporaryFolder();
  const path = written([], folder);
  chownSync(path, 12345, 0);
  expect(() => loadPolicyFile(path, CAPABILITY)).toThrow(`${path} belongs to uid 12345; it must be root or uid 0`);
  chownSync(path, 0, 0);
  chownSync(folder, 12345, 0);
  expect(() => loadPolicyFile(path, CAPABILITY)).toThrow(`${folder} belongs to uid 12345`);
  // For a node that runs as that user, both its own files and those of root count.
  using _ = spyOn(process, "getuid").mockReturnValue(12345);
  expect(loadPolicyFile(path, CAPABILITY).rules).toEqual([]);
});
