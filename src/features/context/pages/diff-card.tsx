// The diff of two versions: lines of a text diff or steps of a JSON patch, and the form that selects the versions.
/** @jsxImportSource hono/jsx */

import type { z } from "zod";
import { Fault } from "../../../lib/fault.ts";
import { Refused, Words } from "../../../page/text.tsx";
import type { contextDiff } from "../diff-versions.ts";
import { type ContextView, contextLink } from "./links.ts";

type Comparison = z.infer<typeof contextDiff.output>;

/** More lines than this are not shown. */
const MAX_LINES = 5000;

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
  if (lines.length === 0 || (lines.length === 1 && lines[0] === ""))
    return <p class="empty">The versions are equal.</p>;
  return (
    <>
      <pre class="document diff">
        {lines.slice(0, MAX_LINES).map((line) => (
          <span class={kindOf(line, diff.format)}>
            <Words block text={line} />
            {"\n"}
          </span>
        ))}
      </pre>
      {lines.length > MAX_LINES ? <p class="quiet">{lines.length - MAX_LINES} more lines are not shown.</p> : null}
    </>
  );
}

function stepText(step: unknown): string {
  if (typeof step !== "object" || step === null || !("op" in step) || !("path" in step)) return JSON.stringify(step);
  const value = "value" in step ? ` ${JSON.stringify(step.value)}` : "";
  const from = "from" in step ? ` from ${String(step.from)}` : "";
  return `${String(step.op)} ${String(step.path)}${from}${value}`;
}

function kindOf(line: string, format: "json-patch" | "text"): string {
  if (format === "json-patch") return line.startsWith("remove ") ? "gone" : line.startsWith("test ") ? "" : "come";
  if (line.startsWith("@@")) return "where";
  if (line.startsWith("+++") || line.startsWith("---")) return "quiet";
  return line.startsWith("+") ? "come" : line.startsWith("-") ? "gone" : "";
}
