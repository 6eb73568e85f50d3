// Searches text by a pattern of callers in linear time. RegExp backtracks, so a hostile pattern would stop the node; a
// pattern here is a finite automaton whose states are made as they are needed, without a call into another process.

import { Automaton } from "./pattern-automaton.ts";
import { ALL_UNITS, parsePattern } from "./pattern-syntax.ts";

/** Units for a place of the automaton that is looked at when a state is made; a character costs one. */
const PLACE = 20;
/** Most states kept; with more, they are made again. */
const MAX_STATES = 2000;

/** What a search may spend, shared by all its texts. */
export interface SearchBudget {
  /** Units left, about 5 ns each. */
  units: number;
  /** A search pauses within a line where fewer are left, so that others get their turn. Left out: it does not. */
  pauseAt?: number;
}

/** Where a search paused within a line. */
export interface Paused {
  readonly at: number;
  readonly state: State;
}

/** One state: where its characters lead, and whether it matches. */
interface State {
  /** Places of the automaton, sorted. */
  places: readonly number[];
  /** Next state by class of character; undefined: not made yet. */
  next: (State | undefined)[];
  matches: boolean;
  matchesAtEnd: boolean;
}

/** A compiled pattern. */
export class LinearPattern {
  readonly #automaton: Automaton;
  /** The class of each code unit: those that no part of the pattern tells apart are one. */
  readonly #classes: Uint16Array;
  /** One code unit of each class. */
  readonly #samples: number[] = [];
  #states = new Map<string, State>();
  #start: State | undefined;
  /** Whether an empty line matches: its start is its end. */
  readonly #matchesEmpty: boolean;

  /**
   * Faults: `invalid_input` for a pattern that cannot be read, `too_large`. `ignoreCase` compares letters of any case.
   */
  constructor(pattern: string, options: { literal?: boolean; ignoreCase?: boolean } = {}) {
    this.#automaton = new Automaton(parsePattern(pattern, options));
    this.#matchesEmpty = this.#automaton.closure([this.#automaton.start], true, true).includes(0);
    const bounds = new Set([0, ALL_UNITS]);
    for (const { ranges } of this.#automaton.sets) for (const [first, last] of ranges) bounds.add(first).add(last + 1);
    const sorted = [...bounds].sort((a, b) => a - b);
    this.#classes = new Uint16Array(ALL_UNITS);
    for (const [index, first] of sorted.slice(0, -1).entries()) {
      this.#classes.fill(index, first, sorted[index + 1]);
      this.#samples.push(first);
    }
  }

  /**
   * Returns where the first match of a line ends, or -1; the line is `text` from `start` up to `end`. Returns undefined
   * where the budget is used up, and where the search paused what is to be passed back as `from`.
   */
  endOfMatch(
    text: string,
    { start, end }: { start: number; end: number },
    budget: SearchBudget,
    from?: Paused,
  ): number | Paused | undefined {
    if (from !== undefined) return this.#run(text, end, budget, from);
    if (start === end) {
      budget.units -= 1;
      if (budget.units < 0) return undefined;
      return this.#matchesEmpty ? start : -1;
    }
    this.#start ??= this.#stateOf(this.#automaton.closure([this.#automaton.start], true));
    if (this.#start.matches) return start;
    budget.units -= end - start + 1;
    return this.#run(text, end, budget, { at: start, state: this.#start });
  }

  #run(text: string, end: number, budget: SearchBudget, from: Paused): number | Paused | undefined {
    let { state } = from;
    for (let { at } = from; at < end; at++) {
      const kind = this.#classes[text.charCodeAt(at)] ?? 0;
      let next = state.next[kind];
      if (next === undefined) {
        budget.units -= PLACE * this.#automaton.size;
        if (budget.units < 0) return undefined;
        next = this.#step(state, kind);
        if (budget.units < (budget.pauseAt ?? 0)) return next.matches ? at + 1 : { at: at + 1, state: next };
      }
      state = next;
      if (state.matches) return at + 1;
    }
    if (budget.units < 0) return undefined;
    return state.matchesAtEnd ? end : -1;
  }

  #step(state: State, kind: number): State {
    const automaton = this.#automaton;
    const unit = this.#samples[kind] ?? 0;
    // A match may begin at every character, not only at the first of the line.
    const reached = [...automaton.after(state.places, unit), automaton.start];
    if (this.#states.size > MAX_STATES) {
      this.#states = new Map();
      this.#start = undefined;
    }
    const next = this.#stateOf(automaton.closure(reached, false));
    state.next[kind] = next;
    return next;
  }

  #stateOf(places: readonly number[]): State {
    const key = places.join(" ");
    const known = this.#states.get(key);
    if (known !== undefined) return known;
    const { matches, matchesAtEnd } = this.#automaton.acceptance(places);
    const made: State = { places, next: [], matches, matchesAtEnd };
    this.#states.set(key, made);
    return made;
  }
}
