// What children see of our environment (security.md 20): what is named, and never a key.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { runManager } from "../../src/cli/service/manager.ts";
import { childEnvironment } from "../../src/lib/child-environment.ts";

const PLANTED = { TS_AUTHKEY: "tskey-canary", LD_PRELOAD: "", NODE_OPTIONS: "--trace-exit", BUN_OPTIONS: "" };
const before = { ...process.env };

beforeAll(() => {
  Object.assign(process.env, PLANTED);
});
afterAll(() => {
  for (const name of Object.keys(PLANTED)) {
    const value = before[name];
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
});

test("childEnvironment() hands on what is named and set, and nothing else", () => {
  expect(childEnvironment({ PATH: "/bin", TS_AUTHKEY: "k", EMPTY: "" }, ["PATH", "HOME", "EMPTY"])).toEqual({
    PATH: "/bin",
    EMPTY: "",
  });
});

test("commands of the service manager see no key and no variable that steers a runtime", async () => {
  const { code, out } = await runManager(["env"]);
  expect(code).toBe(0);
  expect(out).toContain("PATH=");
  for (const name of Object.keys(PLANTED)) expect(out).not.toContain(`${name}=`);
});
