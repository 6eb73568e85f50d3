// What serves each preset, made when somebody first asks for that preset: its tools need the JSON Schemas of its
// operations, which take longer than the rest of a start.

import type { Parts } from "./server.ts";

/** The parts of each preset by its name. */
export class PresetParts {
  readonly #makers: ReadonlyMap<string, () => Parts>;
  readonly #made = new Map<string, Parts>();

  constructor(makers: ReadonlyMap<string, () => Parts>) {
    this.#makers = makers;
  }

  /** The names of all presets. */
  get names(): readonly string[] {
    return [...this.#makers.keys()];
  }

  /** Returns the parts of a preset. Throws an Error where there is no such preset. */
  named(name: string): Parts {
    const known = this.#made.get(name);
    if (known !== undefined) return known;
    const make = this.#makers.get(name);
    if (make === undefined) throw new Error(`no preset ${name}`);
    const parts = make();
    this.#made.set(name, parts);
    return parts;
  }

  /** Returns the parts of the presets that somebody has asked for. */
  made(): readonly Parts[] {
    return [...this.#made.values()];
  }
}
