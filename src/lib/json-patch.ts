// JSON Patch (RFC 6902). Steps are parsed strictly, then applied in order within bounds on size, depth and work, so
// that a small patch cannot cause huge work.

import { Fault } from "./fault.ts";
import { formatPointer, parsePointer } from "./json-pointer.ts";
import { cloneJson, isJsonObject, jsonEqual, setOwn, weighJson } from "./json-value.ts";
import { VISIT_KEY, VISIT_VALUE } from "./json-work.ts";
import { Work } from "./work.ts";

/** One step of a patch; paths as keys, outermost first. */
export type Step =
  | { op: "add" | "replace" | "test"; path: string[]; value: unknown }
  | { op: "remove"; path: string[] }
  | { op: "move" | "copy"; path: string[]; from: string[] };

const MAX_STEPS = 1000;
/** Characters that all steps together may add, remove, compare, copy or shift. */
const MAX_WORK = 16 * 1024 * 1024;

/** Parses a patch; Fault `invalid_input`. Members that RFC 6902 does not know are ignored, as it says. */
export function parseSteps(patch: unknown): Step[] {
  if (!Array.isArray(patch))
    throw new Fault("invalid_input", "A JSON patch is an array of steps", {
      hint: 'Send [{"op": "replace", "path": "/a", "value": 1}], or use the format merge.',
    });
  if (patch.length > MAX_STEPS)
    throw new Fault("too_large", `The patch has ${patch.length} steps; the limit is ${MAX_STEPS}`, {
      hint: "Send it in parts.",
    });
  return patch.map(parseStep);
}

/** Returns the steps of a patch that `parseSteps` has accepted, without judging them again (replication.md 6). */
export function stepsOf(patch: unknown): Step[] {
  return (patch as WrittenStep[]).map(({ op, path, from, value }): Step => {
    if (op === "remove") return { op, path: parsePointer(path) };
    if (op === "move" || op === "copy") return { op, path: parsePointer(path), from: parsePointer(from ?? "") };
    return { op, path: parsePointer(path), value };
  });
}

/** A step as a patch has it. */
interface WrittenStep {
  op: Step["op"];
  path: string;
  from?: string;
  value?: unknown;
}

function parseStep(step: unknown, index: number): Step {
  const refuse = (what: string): Fault =>
    new Fault("invalid_input", `Step ${index} of the patch ${what}`, {
      hint: "Steps are add, replace, test (path, value), remove (path), move and copy (from, path).",
      details: { step: index },
    });
  if (!isJsonObject(step)) throw refuse("is not an object");
  const member = (name: string): string => {
    const value = Object.hasOwn(step, name) ? step[name] : undefined;
    if (typeof value !== "string") throw refuse(`has no ${name}`);
    return value;
  };
  const op = member("op");
  const path = parsePointer(member("path"));
  switch (op) {
    case "add":
    case "replace":
    case "test":
      if (!Object.hasOwn(step, "value")) throw refuse("has no value");
      return { op, path, value: step["value"] };
    case "remove":
      return { op, path };
    case "move":
    case "copy":
      return { op, path, from: parsePointer(member("from")) };
    default:
      throw refuse(`has the op ${JSON.stringify(op.slice(0, 40))}`);
  }
}

/**
 * Applies the steps to `document`, which is changed in place. Faults: `patch_failed` with the step, `too_large`,
 * `invalid_input` for depth.
 */
export function applyJsonPatch(
  document: unknown,
  steps: readonly Step[],
  maxWeight: number,
  work = new Work(),
): unknown {
  const patched = new Patched(document, maxWeight, work);
  for (const [index, step] of steps.entries()) {
    try {
      patched.apply(step);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      const words = `Step ${index} (${step.op} ${formatPointer(step.path)}): ${error.message}`;
      throw error.retold(words, { details: { step: index } });
    }
  }
  return patched.root;
}

/** Returns the value at a path. Fault `patch_failed` where there is none. */
export function valueAt(root: unknown, path: readonly string[]): unknown {
  let value = root;
  for (const [depth, key] of path.entries()) {
    if (Array.isArray(value)) value = value[indexIn(key, value.length - 1)];
    else if (isJsonObject(value) && Object.hasOwn(value, key)) value = value[key];
    else throw failed(`there is nothing at ${formatPointer(path.slice(0, depth + 1))}`);
  }
  return value;
}

/** Units of work for finding the place of a step, beside those for each key of its path. */
const STEP = 1_000;

class Patched {
  root: unknown;
  readonly #maxWeight: number;
  readonly #spent: Work;
  #weight: number;
  #work = 0;

  constructor(root: unknown, maxWeight: number, work: Work) {
    this.root = root;
    this.#maxWeight = maxWeight;
    this.#spent = work;
    this.#weight = this.#weigh(root);
  }

  apply(step: Step): void {
    this.#spent.spend(STEP + VISIT_KEY * step.path.length);
    switch (step.op) {
      case "add":
        this.#add(step.path, cloneJson(step.value));
        break;
      case "replace":
        this.#replace(step.path, cloneJson(step.value));
        break;
      case "remove":
        this.#remove(step.path);
        break;
      case "copy":
        this.#add(step.path, cloneJson(this.#spend(this.#find(step.from))));
        break;
      case "move":
        this.#move(step.from, step.path);
        break;
      case "test":
        this.#spend(step.value);
        if (!jsonEqual(this.#find(step.path), step.value)) throw failed("the value there is another");
    }
  }

  #move(from: string[], to: string[]): void {
    if (to.length > from.length && from.every((key, at) => key === to[at])) {
      throw failed("a value cannot be moved into itself");
    }
    if (formatPointer(from) === formatPointer(to)) {
      this.#find(from);
      return;
    }
    this.#add(to, this.#remove(from));
  }

  #add(path: string[], value: unknown): void {
    this.#grow(value, path.length);
    const key = path.at(-1);
    if (key === undefined) {
      this.#shrink(this.root);
      this.root = value;
      return;
    }
    const parent = this.#find(path.slice(0, -1));
    if (Array.isArray(parent)) {
      const at = key === "-" ? parent.length : indexIn(key, parent.length);
      this.#shift(parent.length - at);
      parent.splice(at, 0, value);
    } else if (isJsonObject(parent)) {
      if (Object.hasOwn(parent, key)) this.#shrink(parent[key]);
      else this.#weight += key.length + 4;
      setOwn(parent, key, value);
    } else throw failed("there is neither an object nor an array to add to");
    this.#check();
  }

  #replace(path: string[], value: unknown): void {
    const old = this.#find(path);
    this.#shrink(old);
    this.#grow(value, path.length);
    const key = path.at(-1);
    const parent = this.#find(path.slice(0, -1));
    if (key === undefined) this.root = value;
    else if (Array.isArray(parent)) parent[indexIn(key, parent.length - 1)] = value;
    else if (isJsonObject(parent)) setOwn(parent, key, value);
    this.#check();
  }

  #remove(path: string[]): unknown {
    const key = path.at(-1);
    if (key === undefined) throw failed("the whole document cannot be removed");
    const found = this.#find(path);
    const parent = this.#find(path.slice(0, -1));
    if (Array.isArray(parent)) {
      const at = indexIn(key, parent.length - 1);
      this.#shift(parent.length - at);
      parent.splice(at, 1);
    } else if (isJsonObject(parent)) {
      delete parent[key];
      this.#weight -= key.length + 4;
    }
    this.#shrink(found);
    this.#check();
    return found;
  }

  #find(path: readonly string[]): unknown {
    return valueAt(this.root, path);
  }

  #shift(items: number): void {
    this.#work += items;
    this.#spent.spend(items);
  }

  #spend<T>(value: T): T {
    this.#work += this.#weigh(value);
    return value;
  }

  #grow(value: unknown, depth: number): void {
    const weight = this.#weigh(value, depth);
    this.#weight += weight;
    this.#work += weight;
    this.#check();
  }

  #shrink(value: unknown): void {
    const weight = this.#weigh(value);
    this.#weight -= weight;
    this.#work += weight;
  }

  /** Each value that is weighed is copied, compared or removed besides. */
  #weigh(value: unknown, depth = 0): number {
    const count = { values: 0, keys: 0 };
    const weight = weighJson(value, depth, count);
    this.#spent.spend(weight + VISIT_VALUE * count.values + VISIT_KEY * count.keys);
    return weight;
  }

  #check(): void {
    if (this.#work > MAX_WORK)
      throw new Fault("too_large", "the patch moves too much data", { hint: "Write the document as a whole instead." });
    if (this.#weight > 2 * this.#maxWeight)
      throw new Fault("too_large", `the document would grow beyond ${this.#maxWeight} bytes`, {
        hint: "Split the document.",
        details: { limit: this.#maxWeight },
      });
  }
}

/** Returns an array index up to `last`, without sign or leading zeros. */
function indexIn(key: string, last: number): number {
  if (!/^(0|[1-9][0-9]{0,8})$/.test(key)) throw failed(`${JSON.stringify(key.slice(0, 40))} is no index of an array`);
  if (Number(key) > last) throw failed(`the array has no place ${key}`);
  return Number(key);
}

function failed(why: string): Fault {
  return new Fault("patch_failed", why, { hint: "Read the context again and make the patch for what is there now." });
}
