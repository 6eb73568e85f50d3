// That a deploy was taken back, and why.
/** @jsxImportSource hono/jsx */

import { Words } from "../../../page/text.tsx";
import type { ShownService } from "../shown.ts";

/** Takes what `deploy_failed` of a service says. */
export function TakenBack({ failed: { version, reason } }: { failed: NonNullable<ShownService["deploy_failed"]> }) {
  return (
    <>
      Version {version} was taken back: <Words text={reason} />
    </>
  );
}
