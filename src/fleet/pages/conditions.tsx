// The conditions of the node on the overview; an empty part without any, or any that the caller may know.
/** @jsxImportSource hono/jsx */

import { Fault } from "../../lib/fault.ts";
import { spanText } from "../../lib/span-text.ts";
import type { Section } from "../../operation/page.ts";
import { Words } from "../../page/text.tsx";
import { NODE_STATUS, type NodeReport } from "../node-status.ts";

/** The conditions. */
export const conditionsSection: Section = {
  column: "wide",
  order: 10,
  async show(visit) {
    const status = await visit.tryAsk(NODE_STATUS);
    const conditions = status instanceof Fault ? [] : status.conditions;
    return { body: <Conditions conditions={conditions} nowMs={visit.nowMs} /> };
  },
};

function Conditions({ conditions, nowMs }: Pick<NodeReport, "conditions"> & { nowMs: number }) {
  return (
    <div id="conditions" data-part>
      {conditions.length === 0 ? null : (
        <section class="card conditions" aria-label="Conditions">
          <ul>
            {conditions.map((condition) => (
              <li class={condition.severity}>
                <strong>{condition.title}</strong>{" "}
                <span class="quiet">for {spanText(nowMs - Date.parse(condition.since))}</span>
                <p>
                  <Words text={condition.text} />
                </p>
                <p class="quiet">{condition.hint}</p>
              </li>
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}
