// Which device a fleet command means: exact ids and exact names of the tailnet, never what a device calls itself, and
// shown before it counts.

import { afterAll, beforeEach, describe, expect, spyOn, test } from "bun:test";
import type { Command } from "../../src/cli/command.ts";
import { ticket } from "../../src/cli/fleet/join.ts";
import { membersApprove, membersRemove } from "../../src/cli/fleet/members.ts";
import { promote, transfer } from "../../src/cli/fleet/roles.ts";
import { refusal } from "../kit/refusal.ts";

const device = (node: string, tailnetName: string, name = tailnetName) => ({
  node,
  name,
  tailnet_name: tailnetName,
  server: "",
  role: "regional",
  state: "active",
  spaces: [],
  level: 1,
  version: "1",
  joined_at: "2026-01-01T00:00:00.000Z",
  caller: "tag:cairn",
  since: "2026-01-01T00:00:00.000Z",
});

let members: unknown[];
let pending: unknown[];
let sent: string[];
beforeEach(() => {
  members = [device("nAAAAAA1", "berlin"), device("nAAAAAA2", "rogue", "paris"), device("nAAAAAA3", "paris")];
  pending = [device("nBBBBBB1", "mac-mini-2"), device("nBBBBBB2", "evil", "mac-mini")];
  sent = [];
});

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  async fetch(request) {
    const operation = new URL(request.url).pathname.split("/").at(-1);
    if (operation === "fleet_members") {
      const fleet = { name: "home", id: "f1", profile: "home" };
      return Response.json({ fleet, members, pending, approvals: [], tickets: 0 });
    }
    const { node } = (await request.json()) as { node?: string };
    sent.push(`${operation} ${node ?? ""}`);
    return Response.json({ node, name: "x", role: "regional", state: "removed", expires_at: "then", fleet_id: "f1" });
  },
});
afterAll(() => server.stop(true));

function run(command: Command, word: string, options: Record<string, unknown> = {}): Promise<number> {
  const url = [`http://127.0.0.1:${server.port}`];
  return command.run({ args: [word], options: { url, role: "regional", ...options }, env: {} } as never);
}

/** What `cairn promote WORD` prints. */
async function promoted(word: string): Promise<string> {
  const written = spyOn(Bun, "write").mockResolvedValue(0);
  try {
    await run(promote, word);
    return String(written.mock.calls.at(-1)?.[1]);
  } finally {
    written.mockRestore();
  }
}

describe("a device that asks to join", () => {
  test("is not meant by the begin of its name, nor by the name that it gives itself", async () => {
    for (const word of ["mac-mini", "mac", "mac-mini-", "nBBBBB"]) {
      expect(await refusal(run(membersApprove, word, { yes: true }))).toMatchObject({ code: "not_found" });
    }
    expect(await refusal(run(membersApprove, "mac-mini"))).toMatchObject({
      message: expect.stringContaining("only its own claim"),
      hint: expect.stringContaining("evil (nBBBBBB2), which calls itself mac-mini"),
    });
    expect(sent).toEqual([]);
  });

  test("is meant by its exact tailnet name and by its exact id", async () => {
    await run(membersApprove, "mac-mini-2");
    await run(membersApprove, "nBBBBBB2");
    await run(membersApprove, "nCCCCCC3");
    expect(sent).toEqual(["nBBBBBB1", "nBBBBBB2", "nCCCCCC3"].map((node) => `fleet_member_approve ${node}`));
  });

  test("needs a confirmation where another one calls itself so, or it calls itself otherwise", async () => {
    pending = [device("nBBBBBB1", "mac-mini"), device("nBBBBBB2", "evil", "mac-mini")];
    for (const word of ["mac-mini", "evil"])
      expect(await refusal(run(membersApprove, word))).toMatchObject({
        code: "invalid_input",
        hint: "Give --yes if you mean it.",
      });
    expect(sent).toEqual([]);
    await run(membersApprove, "mac-mini", { yes: true });
    expect(sent).toEqual(["fleet_member_approve nBBBBBB1"]);
  });

  test("gets no ticket under a claimed name", async () => {
    expect(await refusal(run(ticket, "", { for: "mac-mini" }))).toMatchObject({ code: "not_found" });
  });
});

describe("a member", () => {
  test("is not meant by another one's claim, by any command", async () => {
    members = [device("nAAAAAA1", "berlin"), device("nAAAAAA2", "rogue", "paris")];
    for (const command of [promote, transfer, membersRemove])
      for (const word of ["paris", "ber"])
        expect(await refusal(run(command, word, { yes: true }))).toMatchObject({ code: "not_found" });
    expect(sent).toEqual([]);
  });

  test("is promoted, made leader and removed by its tailnet name; --yes is needed where another claims it", async () => {
    await run(promote, "berlin");
    await run(transfer, "berlin");
    for (const command of [promote, transfer, membersRemove])
      expect(await refusal(run(command, "paris"))).toMatchObject({ code: "invalid_input" });
    await run(membersRemove, "paris", { yes: true });
    expect(sent).toEqual(["fleet_member_promote nAAAAAA1", "fleet_transfer nAAAAAA1", "fleet_member_remove nAAAAAA3"]);
  });

  test("that is central already, or becomes a standby, is said to be one", async () => {
    const said = await promoted("berlin");
    expect(said).toBe("berlin is central now; cairn status shows when it votes and how many voters may fail\n");
    members = [
      { ...device("nAAAAAA1", "berlin"), role: "central" },
      { ...device("nAAAAAA9", "rome"), role: "central" },
    ];
    expect(await promoted("rome")).toStartWith(
      "rome is central already; of 2 centrals one waits without a vote: promote one more; ",
    );
  });

  test("that the tailnet does not show is meant by its id alone", async () => {
    members = [device("nAAAAAA1", "", "berlin")];
    expect(await refusal(run(membersRemove, "berlin", { yes: true }))).toMatchObject({ code: "not_found" });
    await run(membersRemove, "nAAAAAA1", { yes: true });
    expect(sent).toEqual(["fleet_member_remove nAAAAAA1"]);
  });
});
