// The fleet in two sentences: its name, who leads, how many vote, and what may fail.
/** @jsxImportSource hono/jsx */

import { counted } from "../../lib/counted.ts";
import { Words } from "../../page/text.tsx";
import type { NodeReport } from "../node-status.ts";

/** For the overview and the page of the fleet. */
export function Summary({ status: { fleet, members } }: { status: Pick<NodeReport, "fleet" | "members"> }) {
  return (
    <>
      <p>
        <strong>
          <Words text={fleet.name} />
        </strong>{" "}
        <span class="quiet">
          {fleet.leader === "" ? "no leader known" : "led by "}
          {fleet.leader === "" ? null : <Words text={fleet.leader} />}, {counted(members.length, "member")},{" "}
          {fleet.voters} voting, profile {fleet.profile}
        </span>
      </p>
      <p>{fleet.survives}</p>
    </>
  );
}
