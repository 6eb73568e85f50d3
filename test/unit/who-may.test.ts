// whoami and access_explain as operations: what they show of the grants of a caller, and what they leave out.

import { expect, test } from "bun:test";
import { Access } from "../../src/access/access.ts";
import { accessExplain } from "../../src/operation/access-explain.ts";
import { ACCESS, FIND_CALLERS } from "../../src/operation/node-parts.ts";
import { Services } from "../../src/operation/services.ts";
import { whoami } from "../../src/operation/whoami.ts";
import { CAPABILITY, granted, startCore } from "../kit/core.ts";
import { refusal } from "../kit/refusal.ts";

const PLAIN = { role: "member", spaces: ["team-a"] };
const FULL = {
  ...{ role: "member", spaces: ["team-b"], tools: ["context_*"] },
  ...{ limits: { requests_per_minute: 60 }, agent_types: ["coder"], preset: "core" },
};

function start() {
  const node = new Services()
    .provide(ACCESS, new Access({ capability: CAPABILITY, defaultRole: "none", admins: [] }))
    .provide(FIND_CALLERS, async (name) => (name === "ann" ? [{ caller: granted(PLAIN, FULL), note: "seen" }] : []));
  return startCore({ operations: [whoami, accessExplain(node)] });
}

test("whoami shows each grant with what it says, and no more", async () => {
  await using core = start();
  const { grants } = await core.call("whoami", {}, granted(PLAIN, FULL));
  const { limits, ...rest } = FULL;
  expect(grants).toEqual([PLAIN, { ...rest, ...limits }]);
});

test("access_explain shows the question, and the grants of each caller that the name means", async () => {
  await using core = start();
  const question = { caller: "ann", verb: "write", space: "team-a" };
  const shown = await core.call("access_explain", question);
  expect(Object.keys(shown).sort()).toEqual(["callers", "space", "verb"]);
  const grants = [
    { role: "member", spaces: ["team-a"], allows: true },
    { role: "member", spaces: ["team-b"], tools: ["context_*"], allows: false },
  ];
  expect(shown["callers"]).toMatchObject([{ allowed: true, note: "seen", problems: [], grants }]);
  const [{ grants: found }] = shown["callers"] as [{ grants: object[] }];
  expect(found.map((grant) => "tools" in grant)).toEqual([false, true]);
  expect(await core.call("access_explain", { ...question, operation: "lease_acquire", space: "team-b" })).toMatchObject(
    {
      operation: "lease_acquire",
      callers: [{ allowed: false }],
    },
  );
});

test("access_explain of a name that no one has is refused", async () => {
  await using core = start();
  const asked = core.call("access_explain", { caller: "bob", verb: "read", space: "team-a" });
  expect(await refusal(asked)).toMatchObject({ code: "not_found", message: 'No caller is named "bob"' });
});
