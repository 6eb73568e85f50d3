// event_target_test: sends one event of a test to a declared target now, so that an admin sees what it says.

import { z } from "zod";
import { Fault } from "../../../lib/fault.ts";
import { type ReadOperation, read } from "../../../operation/define.ts";
import { NODE } from "../../../operation/node-parts.ts";
import type { Services } from "../../../operation/services.ts";
import { refuseBelowLevel } from "../../../operation/versions.ts";
import { absentTarget, targetName } from "./arguments.ts";
import { targetPartsOf } from "./open-outbox.ts";
import { SUBSCRIPTION_LEVEL, targetRow } from "./rows.ts";
import type { OutwardTarget } from "./targets/declared.ts";
import { makeTarget } from "./targets/target.ts";

/** As much as a second of the leader's time. */
const SEND = 20_000_000;

const input = z.object({ id: targetName.describe("The declared target.") });
const output = z.object({
  target_id: z.string(),
  success: z.boolean(),
  result: z.enum(["delivered", "skipped", "failed", "refused", "ended"]),
  status: z.number().int().describe("Of the response; 0: there was none."),
  response_time: z.number().int().describe("In nanoseconds."),
  detail: z.string().describe("The first 512 bytes of the response, or what failed."),
});

/** Returns the operation. */
export function eventTargetTest(node: Services): ReadOperation<typeof input, typeof output> {
  return read({
    name: "event_target_test",
    atLeader: true,
    isTool: false,
    title: "Send a target an event of a test",
    search: "try a webhook, ping a target",
    description:
      "Sends one event of type cairn.target.test to a declared target now, from the leader, beside all subscriptions and without another attempt.",
    input,
    aliases: { name: "id" },
    example: { id: "ops" },
    output,
    access: { verb: "admin", spaces: ["fleet"] },
    async run(reader, { id }, { signal, spend, author }) {
      refuseBelowLevel(reader, SUBSCRIPTION_LEVEL, "event_target_test");
      const row = targetRow(reader, id);
      if (row === undefined) throw absentTarget(id);
      const config = JSON.parse(row.config) as OutwardTarget;
      if (config.kind === "callback")
        throw new Fault("invalid_input", `The target ${JSON.stringify(id)} has no address: clients choose theirs`, {
          details: { field: "id" },
        });
      spend(SEND);
      const target = makeTarget(config, targetPartsOf(node), () =>
        Promise.reject(new Error("a declared target asks no operation")),
      );
      const atMs = node.get(NODE).nowMs();
      const messageId = `test-${crypto.randomUUID()}`;
      const record = {
        ...{ id: messageId, source: `${author}/test`, type: "cairn.target.test", time: new Date(atMs).toISOString() },
        data: { title: "Test", text: `A test of the target ${id}` },
      };
      const outcome = await target.send({ subscription: "test", offset: 0, messageId, record }, signal);
      const { result, status = 0, detail } = outcome;
      const response_time = Math.round((node.get(NODE).nowMs() - atMs) * 1e6);
      return { target_id: id, success: result === "delivered", result, status, response_time, detail };
    },
  });
}
