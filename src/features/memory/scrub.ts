// Removes secrets from what is to be remembered, before it is written anywhere: in each text of a value, by the rules
// that are switched on. Says which rules found something, and never what.

import { isObject } from "../../lib/json-object.ts";
import { SCRUB_RULES, type ScrubRule } from "./scrub-rules.ts";

/** How often a rule found something. */
export interface Scrubbed {
  rule: string;
  count: number;
}

/** Removes secrets, and counts them. */
export class Scrubber {
  readonly #rules: readonly ScrubRule[];
  readonly #counts = new Map<string, number>();

  /** `kept`: names of rules that are switched off, or `all`. */
  constructor(kept: readonly string[]) {
    this.#rules = kept.includes("all") ? [] : SCRUB_RULES.filter(({ name }) => !kept.includes(name));
  }

  /** What was removed so far, in the order of the rules. */
  get found(): Scrubbed[] {
    return SCRUB_RULES.flatMap(({ name }) => {
      const count = this.#counts.get(name);
      return count === undefined ? [] : [{ rule: name, count }];
    });
  }

  /** Returns a text without secrets. */
  text(text: string): string {
    let clean = text;
    for (const { name, find } of this.#rules) {
      const parts = find(clean);
      if (parts.length === 0) continue;
      this.#count(name, parts.length);
      let last = 0;
      const pieces: string[] = [];
      for (const { start, end } of parts) {
        pieces.push(clean.slice(last, start), `[scrubbed:${name}]`);
        last = end;
      }
      clean = pieces.join("") + clean.slice(last);
    }
    return clean;
  }

  /** Returns a JSON value without secrets in its texts and the names of its members. */
  value(value: unknown): unknown {
    if (typeof value === "string") return this.text(value);
    if (Array.isArray(value)) return value.map((item) => this.value(item));
    if (!isObject(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [this.text(name), this.#member(name, item)]));
  }

  /** Returns the value of a member without secrets; a text may be one by the name of the member alone. */
  #member(name: string, item: unknown): unknown {
    const clean = this.value(item);
    if (typeof clean !== "string") return clean;
    const rule = this.#rules.find(({ isSecretOf }) => isSecretOf?.(name, clean) === true);
    if (rule === undefined) return clean;
    this.#count(rule.name, 1);
    return `[scrubbed:${rule.name}]`;
  }

  #count(rule: string, count: number): void {
    this.#counts.set(rule, (this.#counts.get(rule) ?? 0) + count);
  }
}
