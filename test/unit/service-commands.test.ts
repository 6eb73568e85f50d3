// What the commands of services print for people.

import { expect, test } from "bun:test";
import { serviceCommands } from "../../src/features/service/commands.ts";

const WORDS = { args: [], options: {} };

/** Returns what `cairn service WORD` prints of an output. */
function shown(word: string, output: Record<string, unknown>): string {
  const found = serviceCommands.find(({ words }) => words[0] === "service" && words[1] === word);
  return String(found?.show?.(output, WORDS));
}

const FAILED = {
  ...{ name: "api", space: "team-a", state: "disabled", fence: "none", copies: [] },
  deploy_failed: { version: 3, reason: "all starts failed" },
};

test("a service that is disabled after a deploy says why, and names its space", () => {
  expect(shown("get", { service: FAILED, next: [] })).toBe(
    "api in team-a is disabled, fence none\n  the deploy of version 3 was taken back: all starts failed\n",
  );
  const ready = { ...FAILED, space: "fleet", state: "ready", url: "/svc/api/", deploy_failed: undefined };
  const copy = { state: "ready", name: "mini", fence: "1-2", reason: "" };
  expect(shown("get", { service: { ...ready, copies: [copy] }, next: ["is ready"] })).toBe(
    "api is ready, fence none, at /svc/api/\n  ready on mini (1-2)\n  next: is ready\n",
  );
  expect(shown("list", { services: [FAILED], members: [] })).toMatch(
    /^api +team-a +disabled +fence none +the deploy of version 3 was taken back: all starts failed\n$/,
  );
});

test("a rollback and an empty plan say what to do next", () => {
  expect(shown("rollback", { name: "api", space: "team-a", version: 4 })).toEndWith(
    "cairn service get api --space team-a\n",
  );
  expect(shown("rollback", { name: "api", space: "fleet", version: 4 })).toEndWith("cairn service get api\n");
  expect(shown("plan", { plan: [] })).toBe("no services: those that are disabled have no plan\n");
});
