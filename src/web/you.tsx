// The caller on the overview: who the node takes it for, and what it may do.
/** @jsxImportSource hono/jsx */

import type { z } from "zod";
import { Fault } from "../lib/fault.ts";
import type { Section } from "../operation/page.ts";
import { whoami } from "../operation/whoami.ts";
import { Card } from "../page/card.tsx";
import { Refused, Words } from "../page/text.tsx";

const MAY: Readonly<Record<string, string>> = {
  reader: "read",
  member: "read and write",
  operator: "read, write and run fleet actions",
  admin: "read, write and administer",
};

type Whoami = z.infer<typeof whoami.output>;

/** The caller. */
export const youSection: Section = {
  column: "side",
  order: 40,
  async show(visit) {
    const answer = await visit.tryAsk(whoami);
    return {
      body: (
        <Card id="you" title="You">
          {answer instanceof Fault ? <Refused fault={answer} /> : <Rights whoami={answer} />}
        </Card>
      ),
    };
  },
};

function Rights({ whoami }: { whoami: Whoami }) {
  return (
    <>
      <p>
        <strong>
          <Words text={whoami.login === "" ? whoami.caller : whoami.login} />
        </strong>
        {whoami.node === "" ? null : (
          <span class="quiet">
            {" "}
            on <Words text={whoami.node} />
          </span>
        )}
        {whoami.tags.length === 0 ? null : <span class="quiet"> ({whoami.tags.join(", ")})</span>}
      </p>
      <ul class="rights">
        {whoami.grants.map((grant) => (
          <GrantLine grant={grant} />
        ))}
      </ul>
      {whoami.problems.map((problem) => (
        <p class="problem">
          <Words text={problem} />
        </p>
      ))}
    </>
  );
}

function GrantLine({ grant }: { grant: Whoami["grants"][number] }) {
  return (
    <li>
      <span class="pill role">{grant.role}</span> may {MAY[grant.role] ?? grant.role} in{" "}
      <Spaces spaces={grant.spaces} />
      {grant.tools === undefined ? null : (
        <span>
          {" "}
          by <code>{grant.tools.join(", ")}</code>
        </span>
      )}
      {grant.requests_per_minute === undefined ? null : (
        <span class="quiet"> ({grant.requests_per_minute} requests a minute)</span>
      )}
    </li>
  );
}

function Spaces({ spaces }: { spaces: readonly string[] }) {
  const named = spaces.filter((space) => space !== "*");
  return (
    <>
      {spaces.includes("*") ? "every space" : ""}
      {spaces.includes("*") && named.length > 0 ? " and " : ""}
      {named.map((space, index) => (
        <>
          {index > 0 ? ", " : ""}
          <code>{space}</code>
        </>
      ))}
    </>
  );
}
