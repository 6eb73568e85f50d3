// The automaton of a pattern (Thompson): places with a set of characters, a choice, or a condition on the line.

import { Fault } from "./fault.ts";
import { isInSet, type Node, type UnitSet } from "./pattern-syntax.ts";

/** Most places of an automaton: repetitions are written out. */
const MAX_PLACES = 4000;

type Place =
  | { kind: "set"; set: UnitSet; next: number }
  | { kind: "choice"; next: number[] }
  | { kind: "start" | "end"; next: number }
  | { kind: "match" };

/** The automaton of a pattern. The constructor throws `too_large`. */
export class Automaton {
  readonly #places: Place[] = [{ kind: "match" }];
  /** Its first place. */
  readonly start: number;

  constructor(node: Node) {
    this.start = this.#build(node, 0);
  }

  get size(): number {
    return this.#places.length;
  }

  /** The sets of its places, each once: repetitions share theirs. */
  get sets(): ReadonlySet<UnitSet> {
    return new Set(this.#places.flatMap((place) => (place.kind === "set" ? [place.set] : [])));
  }

  /** Returns the places that are reached without a character, sorted; `atStart`: at the start of the line. */
  closure(from: readonly number[], atStart: boolean, atEnd = false): number[] {
    const seen = new Set<number>();
    const open = [...from];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      if (seen.has(at)) continue;
      seen.add(at);
      const place = this.#places[at];
      if (place?.kind === "choice") open.push(...place.next);
      else if (place?.kind === "start" && atStart) open.push(place.next);
      else if (place?.kind === "end" && atEnd) open.push(place.next);
    }
    const waits = (at: number) => ["set", "end", "match"].includes(this.#places[at]?.kind ?? "");
    return [...seen].filter(waits).sort((a, b) => a - b);
  }

  /** Returns the places after a code unit. */
  after(places: readonly number[], unit: number): number[] {
    return places.flatMap((at) => {
      const place = this.#places[at];
      return place?.kind === "set" && isInSet(place.set, unit) ? [place.next] : [];
    });
  }

  /** Reports whether places match, and whether they do at the end of a line. */
  acceptance(places: readonly number[]): { matches: boolean; matchesAtEnd: boolean } {
    return { matches: places.includes(0), matchesAtEnd: this.closure(places, false, true).includes(0) };
  }

  #build(node: Node, next: number): number {
    switch (node.kind) {
      case "set":
        return this.#add({ kind: "set", set: node.set, next });
      case "start":
      case "end":
        return this.#add({ kind: node.kind, next });
      case "sequence":
        return node.parts.reduceRight((after, part) => this.#build(part, after), next);
      case "choice":
        return this.#add({ kind: "choice", next: node.parts.map((part) => this.#build(part, next)) });
      case "repeat":
        return this.#buildRepeat(node, next);
    }
  }

  #buildRepeat({ part, min, max }: Extract<Node, { kind: "repeat" }>, next: number): number {
    let at = next;
    if (max === Number.POSITIVE_INFINITY) {
      const loop: Place = { kind: "choice", next: [next] };
      at = this.#add(loop);
      loop.next.push(this.#build(part, at));
    } else {
      for (let left = max - min; left > 0; left--)
        at = this.#add({ kind: "choice", next: [next, this.#build(part, at)] });
    }
    for (let left = min; left > 0; left--) {
      const first = this.#build(part, at);
      // Nothing, such as () or a{0}, is nothing however often: it has no places whose number would bound the work.
      if (first === at) break;
      at = first;
    }
    return at;
  }

  #add(place: Place): number {
    if (this.#places.length >= MAX_PLACES)
      throw new Fault("too_large", `The pattern has more than ${MAX_PLACES} places with its repetitions written out`, {
        hint: "Count fewer repetitions.",
      });
    return this.#places.push(place) - 1;
  }
}
