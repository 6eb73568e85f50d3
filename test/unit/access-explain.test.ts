// The explanation of the gate: it decides as the gate does, and names the grant that allows or what is missing.

import { expect, test } from "bun:test";
import { Access } from "../../src/access/access.ts";
import { explain } from "../../src/access/explain.ts";
import { VERBS } from "../../src/access/rights.ts";
import { granted } from "../kit/core.ts";

const access = new Access({ capability: "example.com/cap/cairn", defaultRole: "none", admins: [] });
const PUT = { verb: "write", operation: "context_put" } as const;

test("it allows what the gate allows, over verbs, operations, spaces and grants", () => {
  const objects = [
    { role: "reader", spaces: ["*"] },
    { role: "member", spaces: ["team-a"], tools: ["context_*"] },
    { role: "operator", spaces: ["team-*"], tools: ["fleet_leave"] },
    { role: "admin", spaces: ["*", "fleet"] },
    { role: "member", spaces: [] },
  ];
  const callers = objects.flatMap((one, at) => objects.slice(at).map((other) => granted(one, other)));
  for (const caller of [granted(), ...callers])
    for (const verb of VERBS)
      for (const operation of ["context_put", "fleet_leave", "whoami"])
        for (const space of ["team-a", "team-b", "fleet", "_x"]) {
          const question = { verb, operation, space };
          const { allowed, grants } = explain(access, caller, question);
          expect([caller.grants, question, allowed]).toEqual([
            caller.grants,
            question,
            access.permits(caller, question),
          ]);
          expect(grants.some(({ allows }) => allows)).toBe(allowed);
        }
});

test("each grant has its reason, and the first that allows is the answer", () => {
  const caller = granted(
    { role: "reader", spaces: ["*"] },
    { role: "member", spaces: ["team-a"], tools: ["context_delete"] },
    { role: "member", spaces: ["team-b"] },
    { role: "member", spaces: ["team-a"], tools: ["context_put"] },
  );
  const found = explain(access, caller, { ...PUT, space: "team-a" });
  expect(found.grants.map(({ allows, reason }) => [allows, reason.replace(/^object (\d).* caller /, "$1 ")])).toEqual([
    [false, "1 does not: reader in *; this role may not write"],
    [false, "2 does not: member in team-a, only by context_delete; context_put is not among its tools"],
    [false, "3 does not: member in team-b; team-a is not among its spaces"],
    [true, "4 allows it: member in team-a, only by context_put"],
  ]);
  expect(found).toMatchObject({ allowed: true, because: found.grants[3]?.reason });
  // Without an operation, tools do not narrow a grant.
  const byAny = explain(access, caller, { verb: "write", operation: undefined, space: "team-a" });
  expect(byAny.grants.map(({ allows }) => allows)).toEqual([false, true, false, true]);
});

test("a refusal says what is missing: the least role, or admin to write a reserved space", () => {
  const missing = (role: string, space: string) => `missing is a grant {"role":"${role}","spaces":["${space}"]}`;
  const because = (caller: ReturnType<typeof granted>, verb: (typeof VERBS)[number], space: string) =>
    explain(access, caller, { verb, operation: "context_put", space }).because;
  const reader = granted({ role: "reader", spaces: ["*"] });
  expect(because(reader, "write", "team-a")).toEndWith(`this role may not write; ${missing("member", "team-a")}`);
  expect(because(reader, "read", "fleet")).toEndWith(`admin with the literal name; ${missing("reader", "fleet")}`);
  expect(because(reader, "write", "fleet")).toEndWith(missing("admin", "fleet"));
  expect(because(granted(), "read", "a")).toBe(`no grant counts for this caller; ${missing("reader", "a")}`);
  expect(because(granted({ role: "king" }), "read", "a")).toMatch(
    /^no grant counts for this caller \(The grant .*\); /,
  );
  const two = granted({ role: "reader", spaces: ["a"] }, { role: "reader", spaces: ["b"] });
  expect(because(two, "read", "c")).toBe(`none of its 2 grants allows it; ${missing("reader", "c")}`);
});
