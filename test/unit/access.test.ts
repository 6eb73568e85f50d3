// The gate: rights by class and role, grants judged alone, reserved spaces, the policy file, and a planted hidden space
// on every operation.

import { describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { Access } from "../../src/access/access.ts";
import { asReader, type Caller, callerName } from "../../src/access/caller.ts";
import { globMatches } from "../../src/access/glob.ts";
import { loadPolicyFile, policyGrants } from "../../src/access/policy-file.ts";
import { fleetSettingsSet } from "../../src/fleet/settings-commands.ts";
import { Fault } from "../../src/lib/fault.ts";
import { CAPABILITY, callerWith, granted, startCore } from "../kit/core.ts";
import { sampleInputs } from "../kit/sample-input.ts";

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "ok";
  } catch (error) {
    return error instanceof Fault ? error.code : String(error);
  }
}

describe("without a grant", () => {
  const tagged = (tags: string[], login = "") => callerWith({ kind: "tagged", tags, login });
  const rows: Array<[string, Caller, "none" | "reader" | "member", string, string]> = [
    ["own device", callerWith({ own: true }), "none", "ok", "ok"],
    ["other user", callerWith(), "none", "forbidden", "forbidden"],
    ["other user", callerWith(), "reader", "ok", "forbidden"],
    ["other user", callerWith(), "member", "ok", "ok"],
    ["tagged node", tagged(["tag:agent"]), "member", "forbidden", "forbidden"],
    ["shared-in device", callerWith({ kind: "shared" }), "member", "forbidden", "forbidden"],
    ["user named tagged-devices", callerWith({ login: "tagged-devices" }), "none", "forbidden", "forbidden"],
    ["user named tag:cairn", callerWith({ login: "tag:cairn" }), "none", "forbidden", "forbidden"],
    [
      "own device with a broken grant",
      callerWith({ own: true, grants: [{ role: "member" }] }),
      "member",
      "forbidden",
      "forbidden",
    ],
  ];
  test.each(rows)("%s, default role of others as given", async (_name, caller, defaultRole, reads, writes) => {
    await using core = startCore({ access: { defaultRole } });
    expect(await codeOf(core.call("context_list", {}, caller))).toBe(reads);
    expect(await codeOf(core.call("context_put", { id: "team-a/x", content: 1 }, caller))).toBe(writes);
    expect(await codeOf(core.call("context_put", { id: "fleet/x", content: 1 }, caller))).toBe("forbidden");
  });
});

test("grants are judged alone and added: reader on * plus member on team-a cannot write team-b", async () => {
  await using core = startCore();
  const caller = granted({ role: "reader", spaces: ["*"] }, { role: "member", spaces: ["team-a"] });
  expect(await codeOf(core.call("context_put", { id: "team-a/x", content: 1 }, caller))).toBe("ok");
  expect(await codeOf(core.call("context_put", { id: "team-b/x", content: 1 }, caller))).toBe("forbidden");
});

test("tools narrow a grant to operations, on that grant only", async () => {
  await using core = startCore();
  const caller = granted({ role: "member", spaces: ["team-a"], tools: ["context_get", "context_l*"] });
  expect(await codeOf(core.call("context_put", { id: "team-a/x", content: 1 }, caller))).toBe("forbidden");
  expect(await codeOf(core.call("context_get", { id: "team-a/x" }, caller))).toBe("not_found");
  expect(await codeOf(core.call("context_list", {}, caller))).toBe("ok");
});

test.each([
  [{ role: "member" }],
  [{ role: "member", spaces: [] }],
  [{ role: "owner", spaces: ["*"] }],
  [{ role: "member", spaces: ["*"], space: "x" }],
  [{ role: "member", spaces: ["*"], limits: { speed: 1 } }],
  ["member"],
  [null],
])("the object %j is worth nothing and says so", async (object) => {
  await using core = startCore();
  const caller = granted(object);
  expect(await codeOf(core.call("context_list", {}, caller))).toBe("forbidden");
  expect(core.access.rights(caller).problems).toHaveLength(1);
});

test("a refusal says which role is missing and how it is given, and an operation of the fleet names its space", async () => {
  await using core = startCore({ operations: [fleetSettingsSet] });
  const caller = granted({ role: "member", spaces: ["*"] });
  const input = { name: "history.max_versions", value: "200" };
  const fault = await core.call("fleet_settings_set", input, caller).catch((error: Fault) => error);
  expect(fault).toMatchObject({ code: "forbidden", details: { missing: { role: "admin", spaces: ["fleet"] } } });
  const { message, hint = "" } = fault as Fault;
  expect(message).toEndWith(' may not use fleet_settings_set in space "fleet": it needs the role admin');
  expect(hint).toContain("leave out --url and CAIRN_URL");
  expect(hint).toContain("or ask an admin of the tailnet to: {");
  expect(hint).toContain('{"role":"admin","spaces":["fleet"]}');
});

test("a call that names no space needs the right in some space", () => {
  const access = new Access({ capability: "example.com/cap/cairn", defaultRole: "none", admins: [] });
  const ask = { operation: "context_put", verb: "write", spaces: [] } as const;
  expect(() => access.judge(granted({ role: "reader", spaces: ["*"] }), ask)).toThrow("in any space");
  expect(access.judge(granted({ role: "member", spaces: ["team-a"] }), ask)).toHaveLength(1);
});

test("reserved spaces: no glob matches them, writing wants admin and the literal name", async () => {
  await using core = startCore();
  const rows: Array<[unknown, string, string, string]> = [
    [{ role: "admin", spaces: ["*"] }, "fleet/x", "forbidden", "forbidden"],
    [{ role: "admin", spaces: ["fleet"] }, "fleet/x", "not_found", "ok"],
    [{ role: "member", spaces: ["fleet"] }, "fleet/y", "not_found", "forbidden"],
    [{ role: "admin", spaces: ["_*"] }, "_audit/x", "forbidden", "forbidden"],
    [{ role: "admin", spaces: ["_audit"] }, "_audit/x", "not_found", "ok"],
    [{ role: "admin", spaces: ["fleet"] }, "FLEET/x", "forbidden", "forbidden"],
    [{ role: "admin", spaces: ["F*", "FLEE*"] }, "FLEET/x", "forbidden", "forbidden"],
  ];
  for (const [object, id, reads, writes] of rows) {
    const caller = granted(object);
    expect([object, await codeOf(core.call("context_get", { id }, caller))]).toEqual([object, reads]);
    expect([object, await codeOf(core.call("context_put", { id, content: 1 }, caller))]).toEqual([object, writes]);
  }
});

test("every operation refuses or hides a planted space, by every argument that could name it", async () => {
  await using core = startCore();
  await core.call("context_put", {
    id: "hidden/plan",
    content: "canary-text",
    title: "canary-title",
    tags: ["canary-tag"],
  });
  await core
    .call("context_get", { id: "hidden/plan" }, callerWith({ login: "canary-caller@example.com" }))
    .catch(() => {});
  const before = core.log.position().seq;
  const caller = granted({ role: "admin", spaces: ["team-a"] });
  for (const { operation } of core.invoker.registry.list()) {
    for (const input of sampleInputs(core.invoker.registry, operation, ["hidden/plan", "hidden/none"])) {
      const answer = await core.call(operation.name, input, caller).then(JSON.stringify, (error) => {
        expect([operation.name, input, error]).toMatchObject([operation.name, input, { code: "forbidden" }]);
        return `${error.message} ${error.hint}`;
      });
      expect([operation.name, answer]).toEqual([operation.name, expect.not.stringContaining("canary")]);
    }
  }
  expect(core.log.position().seq).toBe(before);
  expect(core.unexpected).toEqual([]);
});

test("a cursor of one caller shows another only what that one may see", async () => {
  await using core = startCore();
  for (const id of ["hidden/a", "hidden/b", "team-a/c"]) await core.call("context_put", { id, content: 1 });
  const first = await core.call("context_list", { limit: 1 });
  const other = await core.call(
    "context_list",
    { limit: 10, cursor: first["cursor"] },
    granted({ role: "reader", spaces: ["team-a"] }),
  );
  expect(other).toMatchObject({ contexts: [{ id: "team-a/c" }] });
});

test("a read-only connection is one caller for each caller, and leaves that one as it is", () => {
  const caller = callerWith({ grants: [{ role: "admin", spaces: ["*"] }] });
  expect(asReader(caller)).toBe(asReader(caller));
  expect(asReader(caller)).not.toBe(asReader({ ...caller }));
  expect([asReader(caller), caller]).toMatchObject([{ ...caller, readOnly: true }, {}]);
  expect(caller.readOnly).toBeUndefined();
});

test("callers have one name only where they are one: users by login, all others by node", async () => {
  const one = callerWith({ kind: "shared", id: "nONE", login: "", grants: [{ role: "member", spaces: ["*"] }] });
  const other = { ...one, id: "nOTHER" };
  expect([one, other].map(callerName)).toEqual(["node:nONE", "node:nOTHER"]);
  expect(callerName(callerWith({ kind: "tagged", id: "nTAG", tags: ["tag:a"] }))).toBe("node:nTAG");
  // No device and no login can have the name of a local caller.
  expect(callerName(callerWith({ kind: "local", id: "local:bridge", login: "" }))).toBe("local:bridge");
  expect(callerName(callerWith({ id: "nPHONE" }))).toBe("user:alice@example.com");
  await using core = startCore();
  const put = (caller: Caller) => core.call("context_put", { id: "a/x", content: 1, idempotency_key: "k" }, caller);
  expect([await put(one), await put(other)]).toMatchObject([{ version: 1 }, { version: 2 }]);
});

test("globMatches agrees with a regular expression on any glob", () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom("a", "b", "*", "-"), { maxLength: 8 }),
      fc.array(fc.constantFrom("a", "b", "-"), { maxLength: 8 }),
      (glob, text) => {
        const pattern = new RegExp(`^${glob.join("").replaceAll("*", ".*")}$`);
        expect(globMatches(glob.join(""), text.join(""))).toBe(pattern.test(text.join("")));
      },
    ),
  );
});

describe("policy file", () => {
  const folder = () => mkdtempSync(join(tmpdir(), "cairn-policy-"));
  const write = (text: string, mode = 0o600) => {
    const path = join(folder(), "policy.json");
    writeFileSync(path, text, { mode });
    chmodSync(path, mode);
    return path;
  };
  const grants = (src: string[]) =>
    JSON.stringify({ grants: [{ src, app: { [CAPABILITY]: [{ role: "member", spaces: ["team-a"] }] } }] });

  test.each([
    ["ann@example.com", "ann@example.com"],
    // A user of Headscale without a domain: its policy takes no other spelling.
    ["ann", "ann@"],
  ])(
    "the grant to paste names the user %s as %s, and the policy file takes what is printed",
    async (login, printed) => {
      await using core = startCore();
      const caller = callerWith({ login });
      const fault = await core.call("context_list", {}, caller).catch((error: unknown) => error);
      if (!(fault instanceof Fault)) throw new Error(`not refused: ${String(fault)}`);
      const grant = JSON.parse(fault.hint?.replace(/^.*?: /, "") ?? "");
      expect(grant.src).toEqual([printed]);
      const { src, app } = grant;
      const policy = loadPolicyFile(write(JSON.stringify({ grants: [{ src, app }] })), CAPABILITY);
      expect(policyGrants(policy, caller)).toHaveLength(1);
      expect(policyGrants(policy, callerWith({ login: `${login}x` }))).toHaveLength(0);
    },
  );

  test("gives the same rights as a capability, by login, tag, node id and *", async () => {
    const rows: Array<[string, Caller, string]> = [
      ["alice@example.com", callerWith(), "ok"],
      ["bob@example.com", callerWith(), "forbidden"],
      ["nALICE", callerWith(), "ok"],
      ["*", callerWith(), "ok"],
      ["*", callerWith({ kind: "shared" }), "forbidden"],
      ["tag:agent", callerWith({ kind: "tagged", tags: ["tag:agent"], login: "" }), "ok"],
      ["tag:agent", callerWith({ login: "tag:agent" }), "forbidden"],
      ["tagged-devices", callerWith({ kind: "tagged", tags: ["tag:x"], login: "tagged-devices" }), "forbidden"],
    ];
    for (const [src, caller, expected] of rows) {
      await using core = startCore({ policy: loadPolicyFile(write(grants([src])), CAPABILITY) });
      expect([src, await codeOf(core.call("context_put", { id: "team-a/x", content: 1 }, caller))]).toEqual([
        src,
        expected,
      ]);
    }
  });

  test("is refused when others can write it, when it is a link, missing or malformed", () => {
    expect(() => loadPolicyFile(write(grants(["*"]), 0o666), CAPABILITY)).toThrow("others can write");
    const open = folder();
    chmodSync(open, 0o777);
    writeFileSync(join(open, "p.json"), grants(["*"]), { mode: 0o600 });
    expect(() => loadPolicyFile(join(open, "p.json"), CAPABILITY)).toThrow("others can write");
    const link = join(folder(), "link.json");
    symlinkSync(write(grants(["*"])), link);
    expect(() => loadPolicyFile(link, CAPABILITY)).toThrow("symbolic link");
    expect(() => loadPolicyFile(join(folder(), "none.json"), CAPABILITY)).toThrow("there is no such file or folder");
    expect(() => loadPolicyFile(write("{"), CAPABILITY)).toThrow("not JSON");
    expect(() => loadPolicyFile(write('{"grants":[{"src":["*"],"app":{},"deny":true}]}'), CAPABILITY)).toThrow("deny");
  });
});

describe("grants to join a fleet", () => {
  const access = new Access({ capability: CAPABILITY, defaultRole: "none", admins: [] });

  test("an object with join alone lets edges in, and gives no right and no problem", () => {
    const caller = granted({ join: ["edge"] });
    expect(access.joinRoles(caller)).toEqual(["edge"]);
    expect(access.rights(caller)).toMatchObject({ grants: [], problems: [] });
  });

  test("no object lets a local caller in: it has no device of its own", () => {
    expect(access.joinRoles(callerWith({ kind: "local", id: "local", grants: [{ join: ["edge"] }] }))).toEqual([]);
  });

  test("join may stand beside a role, which counts as before", () => {
    const caller = granted({ role: "reader", spaces: ["team-a"], join: ["edge"] });
    expect(access.joinRoles(caller)).toEqual(["edge"]);
    expect(access.rights(caller).grants).toHaveLength(1);
  });

  test.each([
    [{ join: ["central"] }],
    [{ join: ["regional"] }],
    [{ join: [] }],
    [{ join: "edge" }],
    [{ join: ["edge"], spaces: ["*"] }],
    [{ join: ["edge"], role: "reader", spaces: ["*"], color: "red" }],
  ])("%j is worth nothing and a problem", (object) => {
    const caller = granted(object);
    expect(access.joinRoles(caller)).toEqual([]);
    const { grants, problems } = access.rights(caller);
    expect(grants).toEqual([]);
    expect(problems).toHaveLength(1);
  });
});

test.each([
  ["local:dev", "127.0.0.1"],
  ["local:bridge", "MCP"],
])(
  "a local caller (%s) learns which right is missing and which way in has it, and no grant to paste",
  async (id, way) => {
    await using core = startCore();
    const caller = callerWith({ kind: "local", id, login: "", node: "this machine" });
    const refused = core.call("space_configure", { space: "team-a", edge: "fresh" }, caller);
    const fault = await refused.catch((error: unknown) => error);
    if (!(fault instanceof Fault)) throw new Error(`not refused: ${String(fault)}`);
    expect(fault.code).toBe("forbidden");
    expect(fault.message).toStartWith(`A local caller by ${way} may not`);
    expect(fault.hint).toContain("This needs the role");
    expect(fault.hint).toContain("cairn call space_configure --data DIR");
    expect(fault.hint).not.toContain("policy");
  },
);

test.each([
  [
    '{"grants": [\n  {"src": ["a"], app}]}',
    'it is not JSON: line 2, column 18: expected a key in double quotes, found "app}]}"',
  ],
  [
    '{"grants": [{"src": "ann", "app": {}}]}',
    'grants.0.src: Invalid input: expected array, received string; it is "ann"',
  ],
  ['{"grants": [{"src": ["ann"]}]}', "grants.0.app is missing"],
])("a policy file that is broken is refused with its name, the place and the value: %s", (text, said) => {
  const file = join(mkdtempSync(join(tmpdir(), "cairn-t-")), "policy.json");
  writeFileSync(file, text, { mode: 0o600 });
  expect(() => loadPolicyFile(file, CAPABILITY)).toThrow(`The policy file ${file} cannot be used: ${said}`);
});

test("an object that grants nothing is named with place and value", () => {
  const file = join(mkdtempSync(join(tmpdir(), "cairn-t-")), "policy.json");
  const grants = [{ src: ["*"], app: { [CAPABILITY]: [{ role: "king", spaces: ["*"] }] } }];
  writeFileSync(file, JSON.stringify({ grants }), { mode: 0o600 });
  const [problem = ""] = loadPolicyFile(file, CAPABILITY).problems;
  expect(problem).toStartWith(`${file}, grant 1, object 1 grants nothing: role: Invalid option`);
  expect(problem).toEndWith('; it is "king"');
});
