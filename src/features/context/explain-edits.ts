// Says why the old_text of an edit is not in a document: what differs is mostly nothing that one sees. For refusals on
// their way to the caller; apply does not depend on it (the tables of Unicode differ between builds).

import { MAX_DOCUMENT_BYTES } from "../../lib/bounds.ts";
import { Fault } from "../../lib/fault.ts";
import { parseJson } from "../../lib/json-text.ts";
import { Work } from "../../lib/work.ts";
import { applyEdits, type Edit } from "./edits.ts";
import { findOverLineEnds } from "./line-ends.ts";

/** A way in which two texts may differ. Each form keeps line feeds, so that lines can be counted. */
interface Difference {
  reason: string;
  what: string;
  hint: string;
  form(text: string): string;
  /** Spaces around the text do not count. */
  trims?: true;
}

const DIFFERENCES: readonly Difference[] = [
  {
    reason: "line_ends",
    what: "its line ends differ (\\r\\n, \\n or \\r)",
    hint: "Copy old_text with the line ends of the document.",
    form: (text) => text.replaceAll("\r\n", "\n").replaceAll("\r", "\n"),
  },
  {
    reason: "unicode_form",
    what: "its letters are composed in another way (Unicode NFC and NFD)",
    hint: "Copy old_text from the document instead of typing it.",
    form: (text) => text.normalize("NFC"),
  },
  {
    reason: "quotes",
    what: "its quotes, dashes or dots are others (straight or typographic)",
    hint: "Copy old_text from the document: it has the characters as they are there.",
    form: (text) =>
      text
        .replace(/[\u2018\u2019\u201A\u201B\u2032\u00B4`]/g, "'")
        .replace(/[\u201C\u201D\u201E\u201F\u2033\u00AB\u00BB]/g, '"')
        .replace(/[\u2010-\u2015\u2212]/g, "-")
        .replaceAll("\u2026", "..."),
  },
  {
    reason: "spaces",
    what: "its spaces differ (tabs, no-break spaces, indentation, or spaces at the end of a line)",
    hint: "Copy old_text from the document, with its spaces.",
    form: (text) =>
      text
        .replace(/\u200B|\u200C|\u200D|\u2060|\uFEFF/g, "")
        .replace(/[^\S\n]+/g, " ")
        .replaceAll(" \n", "\n")
        .replaceAll("\n ", "\n"),
    trims: true,
  },
  {
    reason: "case",
    what: "its letters are of another case",
    hint: "Copy old_text from the document.",
    form: (text) => text.toLowerCase(),
  },
];

/** Longest document that is searched for the reason, in characters: on the thread that serves everything else. */
export const MAX_SEARCHED = 256 * 1024;
/** Units of work for repeating edits or steps. */
export const MAX_REPEATED_WORK = 4 * 1024 * 1024;

/** A document that edits were made for. */
export interface EditedDocument {
  text: string;
  isJson: boolean;
}

/**
 * Returns a Fault `patch_failed`: that of an edit that was not found with `reason` and the line that it probably meant,
 * that of edits that leave no valid JSON with the place, every other one as it is. `read` returns the document, on
 * which the edits are tried once more unless it is large.
 */
export function explainEdits(edits: readonly Edit[], fault: Fault, read: () => EditedDocument | undefined): Fault {
  const document = read();
  if (document === undefined || document.text.length > MAX_SEARCHED) return fault;
  const found = firstNotFound(edits, document.text);
  if (found === undefined) {
    const broken = document.isJson ? whyNoJson(edits, document.text) : undefined;
    return broken === undefined ? fault : fault.retold(`${fault.message}: ${broken}`);
  }
  return fault.retold(`${fault.message}: ${found.what}`, {
    hint: found.hint,
    details: { reason: found.reason, line: found.line },
  });
}

/** Returns why the first edit that fails is not found; undefined where another reason, or none, is seen. */
function firstNotFound(edits: readonly Edit[], text: string): Reason | undefined {
  let current = text;
  const work = new Work(MAX_REPEATED_WORK);
  for (const edit of edits) {
    if (edit.op === "replace" && findOverLineEnds(current, edit.old_text, 0).length === 0)
      return whyNotFound(current, edit.old_text);
    try {
      current = applyEdits(current, [edit], MAX_DOCUMENT_BYTES, { work });
    } catch (error) {
      if (error instanceof Fault) return undefined;
      throw error;
    }
  }
  return undefined;
}

/** Returns why a JSON document would not be one after the edits; undefined where they fail before, or it would. */
function whyNoJson(edits: readonly Edit[], text: string): string | undefined {
  let edited: string | undefined;
  try {
    edited = applyEdits(text, edits, MAX_DOCUMENT_BYTES, { work: new Work(MAX_REPEATED_WORK) });
    parseJson(edited, "it");
  } catch (error) {
    if (error instanceof Fault) return edited === undefined ? undefined : error.message;
    throw error;
  }
  return undefined;
}

interface Reason {
  reason: string;
  what: string;
  hint: string;
  /** Of the document, from 1. */
  line: number;
}

/** Returns why a text is not in a document; undefined where nothing like it is there. */
export function whyNotFound(text: string, oldText: string): Reason | undefined {
  for (const { form, trims, ...difference } of DIFFERENCES) {
    const line = lineOf(form(text), trims === true ? form(oldText).trim() : form(oldText));
    if (line !== undefined) return reasonAt(difference, text, line);
  }
  const all = (value: string) => DIFFERENCES.reduce((made, { form }) => form(made), value);
  const line = lineOf(all(text), all(oldText).trim());
  if (line !== undefined) return reasonAt(SEVERAL, text, line);
  const [first = ""] = oldText
    .split("\n")
    .map((each) => each.trim())
    .filter((each) => each.length > 3);
  const begin = oldText.trim().includes("\n") ? lineOf(text, first) : undefined;
  return begin === undefined ? undefined : reasonAt(ONLY_BEGIN, text, begin);
}

const SEVERAL = {
  reason: "several",
  what: "it is there with other spaces, quotes, case, line ends or Unicode forms",
  hint: "Copy old_text from the document.",
};
const ONLY_BEGIN = {
  reason: "only_begin",
  what: "only its first line is there",
  hint: "Read the document from that line on, and copy old_text.",
};

function reasonAt({ reason, what, hint }: Omit<Reason, "line">, text: string, line: number): Reason {
  const there = (text.split("\n", line)[line - 1] ?? "").replace(/\r$/, "").slice(0, 120);
  return { reason, what: `${what}; line ${line} of the document is ${JSON.stringify(there)}`, hint, line };
}

function lineOf(text: string, part: string): number | undefined {
  const at = part === "" ? -1 : text.indexOf(part);
  return at < 0 ? undefined : text.slice(0, at).split("\n").length;
}
