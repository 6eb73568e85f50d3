// Whether the owner of a subscription may read a space, as the tailnet shows it: yes, no, or not known yet.

import { expect, test } from "bun:test";
import { Access } from "../../src/access/access.ts";
import type { Caller } from "../../src/access/caller.ts";
import { Owners } from "../../src/features/event/subscription/owners.ts";
import { CAPABILITY, callerWith, granted } from "../kit/core.ts";

const READER = { role: "reader", spaces: ["team-a"] };
const unseen = (login: string): Caller => callerWith({ id: "unseen", login, grants: [] });
const { signal } = new AbortController();

function owners(callers: () => readonly Caller[], nowMs = () => 0) {
  let asked = 0;
  const access = new Access({ capability: CAPABILITY, defaultRole: "none", admins: ["root@example.com"] });
  const find = async () => {
    asked += 1;
    return callers().map((caller) => ({ caller, note: "" }));
  };
  return { owners: new Owners(access, find, nowMs), asked: () => asked };
}

const may = (...callers: Caller[]) => owners(() => callers).owners.may("user:ann@example.com", "team-a", signal);

test("an owner of whom nothing is seen is unknown, and so is one whose rights only the tailnet has", async () => {
  expect(await may()).toBe("unknown");
  expect(await may(unseen("ann@example.com"))).toBe("unknown");
});

test("rights by the settings count without a device", async () => {
  expect(await may(unseen("root@example.com"))).toBe("yes");
});

test("a device that is seen decides: one that may is enough, and without one the answer is no", async () => {
  expect(await may(granted(READER))).toBe("yes");
  expect(await may(granted(), granted(READER))).toBe("yes");
  expect(await may(granted())).toBe("no");
  expect(await may(granted({ role: "reader", spaces: ["team-b"] }))).toBe("no");
  expect(await may(unseen("ann@example.com"), granted())).toBe("no");
});

test("what was seen is used for two seconds, and not by a clock that was set back", async () => {
  let nowMs = 10_000;
  let seen: readonly Caller[] = [granted(READER)];
  const { owners: kept, asked } = owners(
    () => seen,
    () => nowMs,
  );
  const ask = () => kept.may("user:ann@example.com", "team-a", signal);
  expect([await ask(), asked()]).toEqual(["yes", 1]);
  seen = [granted()];
  nowMs += 1999;
  expect([await ask(), asked()]).toEqual(["yes", 1]);
  nowMs += 1;
  expect([await ask(), asked()]).toEqual(["no", 2]);
  seen = [granted(READER)];
  nowMs -= 1;
  expect([await ask(), asked()]).toEqual(["yes", 3]);
});
