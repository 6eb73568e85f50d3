// Says what a JSON patch found where its `test` failed. For refusals on their way to the caller: a refusal that apply
// keeps must not quote the document, since a purge would not find it there.

import { MAX_DOCUMENT_BYTES } from "../../lib/bounds.ts";
import { Fault } from "../../lib/fault.ts";
import { applyJsonPatch, type Step, valueAt } from "../../lib/json-patch.ts";
import { formatPointer } from "../../lib/json-pointer.ts";
import { jsonEqual, parseExact } from "../../lib/json-value.ts";
import { shownValue } from "../../lib/schema-issue.ts";
import { Work } from "../../lib/work.ts";
import { type EditedDocument, MAX_REPEATED_WORK, MAX_SEARCHED } from "./explain-edits.ts";

/**
 * Returns the Fault `patch_failed` of a `test` with what it wanted and what is there, each cut, and every other one as
 * it is. `read` returns the document, on which the steps are tried once more unless it is large.
 */
export function explainSteps(steps: readonly Step[], fault: Fault, read: () => EditedDocument | undefined): Fault {
  const document = read();
  if (document === undefined || !document.isJson || document.text.length > MAX_SEARCHED) return fault;
  const failed = firstFailedTest(steps, parseExact(document.text));
  if (failed === undefined) return fault;
  const details = {
    path: formatPointer(failed.path),
    wanted: shownValue(failed.wanted),
    found: shownValue(failed.found),
  };
  return fault.retold(`${fault.message}: wanted ${details.wanted}, found ${details.found}`, { details });
}

interface FailedTest {
  path: string[];
  wanted: unknown;
  found: unknown;
}

/** Returns the first step that fails; undefined where it is no `test`, there is no value, or none fails by now. */
function firstFailedTest(steps: readonly Step[], document: unknown): FailedTest | undefined {
  const work = new Work(MAX_REPEATED_WORK);
  let current = document;
  try {
    for (const step of steps) {
      if (step.op === "test") {
        const found = valueAt(current, step.path);
        if (!jsonEqual(found, step.value)) return { path: step.path, wanted: step.value, found };
      } else current = applyJsonPatch(current, [step], MAX_DOCUMENT_BYTES, work);
    }
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
  }
  return undefined;
}
