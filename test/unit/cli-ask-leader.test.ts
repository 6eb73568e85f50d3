// What a person is told who asks a node for something that only the leader does: where to type it, by the facts of the
// problem document alone.

import { afterAll, expect, test } from "bun:test";
import { problemResponse } from "../../src/api/problem.ts";
import { askLeader } from "../../src/cli/fleet/ask-leader.ts";
import { notTheLeader } from "../../src/fleet/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { lostLeadership, neverForwarded, notLeader } from "../../src/operation/routing-faults.ts";
import { refusal } from "../kit/refusal.ts";

const ANNA = { node: "nANNA", name: "anna" };
let answer: Fault;
const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => problemResponse(answer) });
afterAll(() => server.stop(true));

function asked(fault: Fault): Promise<{ code: string; message: string; details: Record<string, unknown> }> {
  answer = fault;
  const invocation = { args: [], options: { url: [`http://127.0.0.1:${server.port}`] }, env: {} };
  return refusal(askLeader(invocation, "fleet_member_remove", {}, "members remove bert"));
}

test("a refusal that names the leader says what to type there", async () => {
  for (const fault of [notTheLeader(ANNA, "Removing"), neverForwarded("fleet_member_remove", ANNA)]) {
    expect(await asked(fault)).toMatchObject({
      code: "not_leader",
      message: "anna leads this fleet, and only the leader accepts this command",
      hint: "Run it on anna: cairn members remove bert",
      details: fault.details,
    });
  }
  expect(await asked(notLeader(ANNA))).toMatchObject({
    code: "not_leader",
    hint: expect.stringContaining("on nANNA:"),
  });
});

test("without a leader, or with one of another type, the refusal stays as it is", async () => {
  expect(await asked(notTheLeader(undefined, "Removing"))).toMatchObject({
    code: "not_leader",
    message: "Removing works only on the leader, and no member leads now",
    details: { leader: "", leader_name: "", retryAfterSeconds: 1 },
  });
  const odd = new Fault("forbidden", "no", { details: { leader: { node: "nANNA" }, leader_name: 7 } });
  expect(await asked(odd)).toMatchObject({ code: "forbidden", message: "no" });
});

test("a write that may have been made is not sent to the leader as if it had not", async () => {
  expect(await asked(lostLeadership(ANNA))).toMatchObject({ code: "unavailable", details: { outcome: "unknown" } });
});
