// service_open: whether a caller may reach a service, and which member has it. /svc/NAME asks it for each request.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { SHOW_ROW } from "../../lib/work.ts";
import { DECLARATIONS } from "../../operation/declared-kind.ts";
import { type Operation, read } from "../../operation/define.ts";
import { FULL_MEMBERS } from "../../operation/node-parts.ts";
import type { Services } from "../../operation/services.ts";
import { refuseBelowLevel } from "../../operation/versions.ts";
import { SERVICE } from "./declared.ts";
import {
  DEFAULT_SPACE,
  nodeRows,
  SERVICE_LEVEL,
  serviceName,
  serviceRows,
  serviceSpace,
  spacesOfService,
} from "./rows.ts";
import { nameOf } from "./shown.ts";

/** Finds the way to a service. */
export const serviceOpen = (node: Services): Operation =>
  read({
    name: "service_open",
    title: "Find the way to a service",
    isTool: false,
    search: "address of a service",
    description:
      "Says which member has a service that is ready, for callers that may reach it: those who may write in its space. HTTP and WebSockets at /svc/NAME/ lead there.",
    input: z.object({ name: serviceName, space: serviceSpace }),
    example: { name: "wiki", space: "ops" },
    output: z.object({
      node: z.string().describe("Id of the member."),
      name: z.string().describe("Name of the member."),
      url: z.string().describe("Its path on every node."),
    }),
    access: { verb: "write", spaces: spacesOfService },
    run(reader, { name, space = DEFAULT_SPACE }, { spend }) {
      refuseBelowLevel(reader, SERVICE_LEVEL, "service_open");
      spend(SHOW_ROW);
      const found = node
        .get(DECLARATIONS)
        .list(SERVICE)
        .find((each) => each.name === name && each.value.space === space);
      if (found === undefined)
        throw new Fault(
          "not_found",
          `There is no service ${JSON.stringify(name)} in the space ${JSON.stringify(space)}`,
          {
            hint: "service_list shows those that you may see, with their spaces.",
          },
        );
      if (found.value.port === undefined)
        throw new Fault("invalid_input", `The service ${name} declares no port, so there is no way to it`, {
          hint: `Add port to the context ${found.id}.`,
          details: { field: "name" },
        });
      const rows = serviceRows(reader, name);
      const ready = rows.filter(({ state }) => state === "ready");
      const self = node.get(FULL_MEMBERS).self();
      const row = ready.find((each) => each.node === self) ?? ready[0];
      const nodes = nodeRows(reader);
      if (row !== undefined) return { node: row.node, name: nameOf(row.node, nodes), url: `/svc/${name}/` };
      const known = rows.map((each) => `${each.state} on ${nameOf(each.node, nodes) || "no member"}: ${each.reason}`);
      throw new Fault("unavailable", `The service ${name} is ready nowhere: ${known.join("; ") || "not started yet"}`, {
        hint: "Try again in a moment; service_get says what the leader does about it.",
        details: { retryAfterSeconds: 2 },
      });
    },
  });
