// The callers of a fleet's clients: a member, an admin, and a reader whose writes must be refused. Each is a device of
// the tailnet; keys belong to a caller.

import { Agent } from "../kit/agent.ts";
import { CAPABILITY } from "../kit/core.ts";
import { eventually } from "../kit/eventually.ts";
import type { Fleet } from "../kit/fleet.ts";

export type Device = Awaited<ReturnType<Fleet["tailnet"]["client"]>>;

export interface Callers {
  member: Device;
  admin: Device;
  reader: Device;
}

const LOGINS = { admin: "ann@example.com", reader: "rea@example.com" } as const;

/** Adds the callers to the fleet's tailnet; resolves when every node knows their rights. */
export async function addCallers(fleet: Fleet): Promise<Callers> {
  const roles = ["admin", "reader"] as const;
  await fleet.tailnet.grants(
    roles.map((role) => ({ src: [LOGINS[role]], dst: ["*"], app: { [CAPABILITY]: [{ role, spaces: ["*"] }] } })),
  );
  const client = (role: keyof typeof LOGINS) =>
    fleet.tailnet.client({ hostname: `${role}-client`, user: LOGINS[role] });
  const callers = {
    member: await fleet.tailnet.client({ hostname: "clients" }),
    admin: await client("admin"),
    reader: await client("reader"),
  };
  for (const node of fleet.up(["central", "regional", "edge"]))
    for (const role of roles)
      await eventually(`${node.name} to know its ${role}`, async () => {
        const { status } = await new Agent(callers[role], node.base).get("callers/none");
        return status === 404;
      });
  return callers;
}
