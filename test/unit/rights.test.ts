// The questions that other rooms ask of rights: each must agree with the judgement of single grants.

import { expect, test } from "bun:test";
import { capAllows, joinRolesOf, parseGrants, Rights } from "../../src/access/rights.ts";
import { spaceAmong, spaceOf } from "../../src/access/space.ts";

function rightsBy(...objects: unknown[]): Rights {
  const { grants, problems } = parseGrants(objects, "The test");
  return new Rights(grants, problems);
}

const PUT = { verb: "write", operation: "context_put" } as const;
const GET = { verb: "read", operation: "context_get" } as const;

test("a question about one space needs one grant that has role, tool and space", () => {
  const rights = rightsBy({ role: "reader", spaces: ["a*"] }, { role: "member", spaces: ["b"], tools: ["context_p*"] });
  expect(rights.mayUse({ ...GET, space: "abc" })).toBe(true);
  expect(rights.mayUse({ ...PUT, space: "abc" })).toBe(false);
  expect(rights.mayUse({ ...PUT, space: "b" })).toBe(true);
  expect(rights.mayUse({ ...GET, space: "b" })).toBe(false);
  expect(rights.allowing({ ...PUT, space: "b" })).toEqual(rights.grants.slice(1));
  expect(rights.mayUseSomewhere(PUT)).toBe(true);
  expect(rights.mayUseSomewhere({ verb: "operate", operation: "context_put" })).toBe(false);
  expect(rights.allowingSomewhere(GET)).toHaveLength(1);
});

test("everywhere is the glob * of one grant, never a sum of narrower ones", () => {
  const metrics = { verb: "read", operation: "metrics" } as const;
  expect(rightsBy({ role: "reader", spaces: ["a*", "*"] }).mayUseEverywhere(metrics)).toBe(true);
  expect(rightsBy({ role: "reader", spaces: ["**"] }).mayUseEverywhere(metrics)).toBe(false);
  expect(rightsBy({ role: "reader", spaces: ["*"], tools: ["whoami"] }).mayUseEverywhere(metrics)).toBe(false);
  const narrow = { role: "admin", spaces: ["a*"] };
  expect(rightsBy(narrow, { role: "reader", spaces: ["*"] }).mayUseEverywhere(metrics)).toBe(true);
});

test("an operation is named only in full, by a grant that allows it", () => {
  const leave = { verb: "operate", operation: "fleet_leave" } as const;
  expect(rightsBy({ role: "operator", spaces: ["*"], tools: ["fleet_leave"] }).namesOperation(leave)).toBe(true);
  expect(rightsBy({ role: "operator", spaces: ["*"], tools: ["fleet_*"] }).namesOperation(leave)).toBe(false);
  expect(rightsBy({ role: "operator", spaces: ["*"] }).namesOperation(leave)).toBe(false);
  expect(rightsBy({ role: "member", spaces: ["*"], tools: ["fleet_leave"] }).namesOperation(leave)).toBe(false);
  const named = { role: "operator", spaces: ["*"], tools: ["fleet_leave"] };
  expect(rightsBy({ role: "operator", spaces: ["*"] }, named).namesOperation(leave)).toBe(true);
});

test("rights without a grant permit nothing; read-only rights have each role cut to reader", () => {
  expect(rightsBy().permitsAnything()).toBe(false);
  expect(rightsBy({ role: "emperor", spaces: ["*"] }).permitsAnything()).toBe(false);
  const admin = rightsBy({ role: "admin", spaces: ["*", "fleet"] });
  expect(admin.permitsAnything()).toBe(true);
  expect(admin.readOnly().mayUse({ ...GET, space: "fleet" })).toBe(true);
  expect(admin.readOnly().mayUse({ ...PUT, space: "a" })).toBe(false);
  expect(admin.readOnly().fingerprint).not.toBe(admin.fingerprint);
});

test("a node that is enrolled for * forwards nothing about reserved spaces, and by name only reads of them", () => {
  for (const space of ["fleet", "_x"]) {
    for (const [spaces, mayRead] of [
      [["*"], false],
      [["*", space], true],
    ] as const) {
      const cap = { role: "member", spaces } as const;
      expect([space, spaces, capAllows(cap, "read", space)]).toEqual([space, spaces, mayRead]);
      expect(capAllows(cap, "write", space)).toBe(false);
    }
  }
  expect(capAllows({ role: "member", spaces: ["*"] }, "write", "team-a")).toBe(true);
});

test("a cap bounds the verb in a space and in none, whatever its spaces are", () => {
  for (const space of ["team-a", undefined]) {
    expect(capAllows({ role: "member", spaces: ["team-a"] }, "write", space)).toBe(true);
    expect(capAllows({ role: "member", spaces: ["team-a"] }, "operate", space)).toBe(false);
    expect(capAllows({ role: "operator", spaces: undefined }, "operate", space)).toBe(true);
    expect(capAllows({ role: "operator", spaces: undefined }, "admin", space)).toBe(false);
  }
  expect(capAllows({ role: "member", spaces: ["team-a"] }, "read", "team-b")).toBe(false);
});

test("of a caller's objects the first 1000 count, and more of them are a problem", () => {
  const objects = Array.from({ length: 1000 }, (_, n) => ({ role: "reader", spaces: [`s${n}`], join: ["edge"] }));
  expect(parseGrants(objects, "The test")).toMatchObject({ grants: { length: 1000 }, problems: [] });
  const more = parseGrants([...objects, { role: "admin", spaces: ["*"] }], "The test");
  expect(more.grants).toHaveLength(1000);
  expect(more.grants.some(({ role }) => role === "admin")).toBe(false);
  expect(more.problems).toHaveLength(1);
});

test("only an object that parses lets its caller join", () => {
  expect(joinRolesOf([{ role: "reader", spaces: ["*"] }, { role: "reader", join: ["edge"] }, null])).toEqual([]);
  expect(joinRolesOf([{ join: ["edge"] }, { role: "reader", spaces: ["*"], join: ["edge"] }])).toEqual(["edge"]);
  expect(joinRolesOf([{ join: ["central"] }])).toEqual([]);
});

test("a reserved space is among globs only by its own name", () => {
  expect(spaceAmong(["team-*"], "team-a")).toBe(true);
  expect(spaceAmong(["team-*"], "other")).toBe(false);
  for (const space of ["fleet", "Fleet", "_x"]) {
    expect(spaceAmong(["*"], space)).toBe(false);
    expect(spaceAmong(["*", space], space)).toBe(true);
  }
  expect(["a/b/c", "a", "a/"].map(spaceOf)).toEqual(["a", "default", "a"]);
});
