// The product's own main, with a way to make its Go half panic: POST /<where> on the unix socket that CAIRN_TEST_PANIC
// names; the response is the fault in which the call ended. Works only with a Go half that was built with the tag
// cairntest (test/kit/panic-tree.ts).

import { Fault } from "../../src/lib/fault.ts";
import { Channel, type Wire } from "../../src/tailnet/channel.ts";
import type { Method } from "../../src/tailnet/protocol.ts";

let channel: Channel | undefined;
const attach = Channel.prototype.attach;
Channel.prototype.attach = function (this: Channel, wire: Wire): void {
  channel = this;
  attach.call(this, wire);
};

const ANSWER_MS = 20_000;

Bun.serve({
  unix: process.env["CAIRN_TEST_PANIC"] ?? "",
  async fetch(request) {
    const where = new URL(request.url).pathname.slice(1);
    try {
      // The method is not in the protocol, so the table of results does not know it.
      await channel?.request("panic" as Method, { where }, ANSWER_MS);
      return Response.json({ outcome: "no panic" });
    } catch (error) {
      const known = error instanceof Fault ? { code: error.code, details: error.details } : {};
      return Response.json({ outcome: "fault", message: String(error), ...known });
    }
  },
});

await import("../../src/main.ts");
