// The diff of two versions: lines of a text diff or steps of a JSON patch, and the form that selects the versions.
/** @jsxImportSource hono/jsx */

import type { z } from "zod";
import { Fault } from "../../../lib/fault.ts";
import { DiffLines, type LineKind, unifiedKind } from "../../../page/diff.tsx";
import { Refused } from "../../../page/text.tsx";
import type { contextDiff } from "../diff-versions.ts";
import { type ContextView, contextLink } from "./links.ts";

type Comparison = z.infer<typeof contextDiff.output>;

export function Diff({ id, view, diff }: { id: string; view: ContextView; diff: Comparison | Fault }) {
  const from = diff instanceof Fault ? view.from : String(diff.from);
  const to = diff instanceof Fault ? view.to : String(diff.to);
  return (
    <section class="card" aria-labelledby="diff-title">
      <div class="head">
        <h2 id="diff-title">
          Changes from {from} to {to ?? "the newest"}
        </h2>
        <a href={contextLink(id)}>close</a>
      </div>
      <form method="get" class="filter">
        <label>
          From <input name="from" inputmode="numeric" value={from} size={5} required />
        </label>
        <label>
          to <input name="to" inputmode="numeric" value={to ?? ""} size={5} />
        </label>
        <label>
          as{" "}
          <select name="format">
            <option value="">by type</option>
            <option value="text" selected={view.format === "text"}>
              text
            </option>
            <option value="json-patch" selected={view.format === "json-patch"}>
              JSON patch
            </option>
          </select>
        </label>
        <button type="submit">Compare</button>
      </form>
      {diff instanceof Fault ? <Refused fault={diff} /> : <Changes diff={diff} />}
    </section>
  );
}

function Changes({ diff }: { diff: Comparison }) {
  const lines = Array.isArray(diff.diff) ? diff.diff.map(stepText) : String(diff.diff).replace(/\n$/, "").split("\n");
  return <DiffLines lines={lines} kindOf={diff.format === "json-patch" ? stepKind : unifiedKind} />;
}

function stepText(step: unknown): string {
  if (typeof step !== "object" || step === null || !("op" in step) || !("path" in step)) return JSON.stringify(step);
  const value = "value" in step ? ` ${JSON.stringify(step.value)}` : "";
  const from = "from" in step ? ` from ${String(step.from)}` : "";
  return `${String(step.op)} ${String(step.path)}${from}${value}`;
}

function stepKind(line: string): LineKind {
  return line.startsWith("remove ") ? "gone" : line.startsWith("test ") ? "" : "come";
}
