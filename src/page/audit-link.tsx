// A link to all changes of one thing in the audit, for those who may see it.
/** @jsxImportSource hono/jsx */

import { address } from "./address.ts";

/** Name of the operation that shows the audit, for a question of rights before the link is offered. */
export const AUDIT_OPERATION = "audit_query";

/** `target` is the id, session or name whose changes are meant. */
export function AuditLink({ target }: { target: string }) {
  return (
    <a href={address("/ui/audit", { prefix: target })} aria-label={`All changes of ${target}`}>
      changes
    </a>
  );
}
