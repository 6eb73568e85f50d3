// Who the caller is to the node, and what it may do.
/** @jsxImportSource hono/jsx */

import { Fault } from "../lib/fault.ts";
import type { Shown } from "./ask.ts";
import { Refused, Words } from "./text.tsx";

const MAY: Readonly<Record<string, string>> = {
  reader: "read",
  member: "read and write",
  operator: "read, write and run fleet actions",
  admin: "read, write and administer",
};

export function You({ whoami }: { whoami: Shown<"whoami"> | Fault }) {
  return (
    <section class="card" aria-labelledby="you-title">
      <h2 id="you-title">You</h2>
      <div id="you" data-part>
        {whoami instanceof Fault ? <Refused fault={whoami} /> : <Rights whoami={whoami} />}
      </div>
    </section>
  );
}

function Rights({ whoami }: { whoami: Shown<"whoami"> }) {
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
