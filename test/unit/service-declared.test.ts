// Declarations of services: what is taken, and what is refused with the name of the field.

import { expect, test } from "bun:test";
import { hashOfProgram, SERVICE, serviceShape } from "../../src/features/service/declared.ts";
import { judgeValue } from "../../src/operation/judge-declared.ts";

const judged = (value: Record<string, unknown>) => judgeValue(SERVICE, "wiki", { argv: ["/bin/wiki"], ...value });
const problem = (value: Record<string, unknown>) => {
  const found = judged(value);
  return "problem" in found ? found.problem : "";
};

test("a service needs no more than its words; the example is taken", () => {
  expect(judged({})).toMatchObject({
    value: { copies: "one", where: "any", failback: "never", lease: 15, fence: "none", space: "fleet", folder: "/" },
  });
  expect(judgeValue(SERVICE, "wiki", SERVICE.example)).toHaveProperty("value");
});

test.each([
  [{ argv: [] }, "argv"],
  [{ argv: [""] }, "argv.0: names the program"],
  [{ argv: ["a", "b\0"] }, "argv: has a NUL"],
  [{ stop: [""] }, "stop.0: names the program"],
  [{ ready: {} }, "ready: has either argv or http"],
  [{ ready: { argv: ["true"], http: "/" }, port: 80 }, "ready: has either argv or http"],
  [{ ready: { http: "/health" } }, "ready.port: there is none"],
  [{ ready: { argv: ["true"], port: 80 } }, "ready.port: is for http"],
  [{ status: { argv: [""] } }, "status.argv.0: names the program"],
  [{ ready: { http: "health" }, port: 80 }, "ready.http: is a path such as /health"],
  [{ ready_timeout: 0 }, "ready_timeout"],
  [{ port: 70_000 }, "port"],
  [{ backups: ["vm"] }, "backups: a service without primary has none"],
  [{ primary: "mini", backups: ["vm", "mini"] }, 'backups: "mini" is named twice'],
  [{ primary: "mini", where: "label:gpu" }, "where: a service with a primary has none"],
  [{ primary: "a b" }, "primary: is the name or the id of a member"],
  [{ where: "leader" }, "where: is any or label:LABEL"],
  [{ copies: "per_label" }, "copies: per_label needs where: label:LABEL"],
  [{ copies: "two" }, "copies"],
  [{ failback: "stable:60" }, "failback: a service without primary has none"],
  [{ primary: "mini", failback: "at:24:00" }, "failback: is never, stable:SECONDS or at:HH:MM"],
  [{ lease: 4 }, "lease"],
  [{ fence: "watchdog" }, "fence"],
  [{ attempts: 0 }, "attempts"],
  [{ environment: ["TS_AUTHKEY"] }, "TS_AUTHKEY"],
  [{ secrets: { CAIRN_X: "secret:A" } }, "CAIRN_X"],
  [{ secrets: { TOKEN: "hidden" } }, "secrets.TOKEN: is secret:NAME"],
  [{ limits: { memory_bytes: 1 } }, "limits.memory_bytes"],
  [{ folder: "data" }, "folder"],
  [{ grace: -1 }, "grace"],
  [{ space: "No" }, "space: is the name of a space"],
  [{ enabled: "yes" }, "enabled"],
  [{ restart: true }, "restart"],
] as [Record<string, unknown>, string][])("%j is refused: %s", (value, text) => {
  expect(problem(value)).toContain(text);
});

test.each([
  [{}, ""],
  [{ argv: ["/bin/wiki"] }, "argv: a service has either argv or unit"],
  [{ unit: undefined }, "argv: a service has either argv or unit"],
  [{ unit: "wiki" }, "unit: is the name of a unit"],
  [{ unit: "-x.service" }, "unit: is the name of a unit"],
  [{ lease: 30 }, "lease: a unit needs 45 seconds or more"],
  [{ ready: undefined }, "ready: a unit needs a check"],
  [{ user: "ann" }, "user: that of a unit is in its file"],
  [{ artifact: "a".repeat(64) }, "artifact: that of a unit is in its file"],
  [{ secrets: { TOKEN: "secret:A" } }, "secrets: that of a unit is in its file"],
  [{ limits: { processes: 3 } }, "limits: that of a unit is in its file"],
] as [Record<string, unknown>, string][])("of a unit %j is judged: %s", (more, text) => {
  const value = { unit: "wiki.service", lease: 60, ready: { argv: ["true"] }, ...more };
  const given = Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined));
  const found = judgeValue(SERVICE, "wiki", given);
  expect("problem" in found ? found.problem : "").toContain(text);
  expect("problem" in found).toBe(text !== "");
});

test("what a running copy depends on has another hash; what it does not, the same", () => {
  const hash = (value: Record<string, unknown>) =>
    hashOfProgram(serviceShape.parse({ argv: ["/bin/wiki"], primary: "mini", ...value }));
  const same = hash({});
  for (const value of [
    { backups: ["vm"] },
    { failback: "at:03:00" },
    { description: "x" },
    { labels: ["a"] },
    { attempts: 1 },
  ])
    expect(hash(value)).toBe(same);
  for (const value of [
    { argv: ["x"] },
    { port: 1 },
    { user: "u" },
    { lease: 20 },
    { limits: { cpus: 1 } },
    { space: "ops" },
  ])
    expect(hash(value)).not.toBe(same);
});
