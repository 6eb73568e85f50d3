// Says a failure in the names of a surface. Operations name each other in errors, and a preset of MCP or a page may
// have one under another name, another one in its place, or none: what names one that is not there is left out.

import { faultBody } from "./failed-result.ts";
import type { Fault } from "./fault.ts";

/** Texts in quotes are values, and stay as they are. */
const QUOTED = /"(?:[^"\\]|\\.)*"/g;
/** A name of an operation, not one within an id, a setting or a path. */
const NAME = /(?<![\w./-])[a-z]+(?:_[a-z]+)+(?![\w/-]|\.\w)/g;

/** What operations are called on a surface. */
export interface Names {
  /** Returns the name of an operation; undefined: it is not there. */
  nameOf(operation: string): string | undefined;
  /** Reports whether a word is the name of an operation. */
  isOperation(word: string): boolean;
}

/** Returns a fault in these names; `called` is what was called by the caller, where that has a name. */
export function inNames(fault: Fault, called: string | undefined, { nameOf, isOperation }: Names): Fault {
  const renamed = (text: string) =>
    outsideQuotes(text, (plain) => plain.replaceAll(NAME, (name) => (isOperation(name) && nameOf(name)) || name));
  const isKnown = (clause: string) =>
    !(clause.replaceAll(QUOTED, "").match(NAME) ?? []).some((name) => isOperation(name) && nameOf(name) === undefined);
  const { message } = faultBody(fault);
  const [, first = "", rest = ""] = /^([a-z_]+): (.+)$/s.exec(message) ?? [];
  const by = nameOf(first) ?? called;
  const said = isOperation(first) ? `${by === undefined ? "" : `${by}: `}${renamed(rest)}` : renamed(message);
  const hint = fault.hint === undefined ? undefined : clausesOf(fault.hint).filter(isKnown).map(renamed).join(" ");
  return fault.retold(said, { hint: hint === "" ? null : hint?.replace(/;$/, ".") });
}

/** Splits a text after full stops and semicolons outside of quotes. */
function clausesOf(text: string): string[] {
  return outsideQuotes(text, (plain) => plain.replaceAll(/([.;]) /g, "$1\n")).split("\n");
}

function outsideQuotes(text: string, change: (plain: string) => string): string {
  const quoted = text.match(QUOTED) ?? [];
  return text
    .split(QUOTED)
    .map((plain, at) => `${change(plain)}${quoted[at] ?? ""}`)
    .join("");
}
