// The checks on a library: a driver in its language (drivers/) does with the client what this side asks, one JSON line
// each way, and the node is looked at over REST.

import { join } from "node:path";
import type { DevNode } from "../kit/dev-node.ts";
import { eventually, within } from "../kit/eventually.ts";
import {
  AWKWARD_ID,
  CHECK_NAMES,
  type Check,
  DIGITS,
  JSON_TEXT,
  LONG_TEXT,
  mustBeWhole,
  mustHelp,
  NotInClient,
  type Outcome,
  outcomeOf,
} from "./checks.ts";
import { copyDrivers, pathOf } from "./install.ts";
import { readText, streamsOf, writeText } from "./over-rest.ts";
import { VISITS } from "./visits.ts";

/** A library and how its driver is started: words of the command line before the URL of the server. */
export interface Library {
  driver: (folder: string) => string[];
}

const ANSWER_MS = 40_000;
const CANCEL_AFTER_MS = 700;

/** Runs all checks against the node and returns an outcome for each. */
export async function checkLibrary(library: Library, folder: string, node: DevNode): Promise<Outcome[]> {
  copyDrivers(folder);
  const at = (path: string) => new Driver([...library.driver(folder), `${node.url}${path}`], folder);
  await using driver = at("/mcp");
  const outcomes: Outcome[] = [];
  for (const check of CHECK_NAMES) {
    outcomes.push(await outcomeOf(check, () => RUNS[check](driver, node, at)));
    const [first] = outcomes;
    if (first?.result === "failed") return outcomes;
  }
  return outcomes;
}

/** Python in the environment of a client. */
export function python(file: string): Library["driver"] {
  return (folder) => [join(folder, "bin", "python"), join(folder, file)];
}

/** The process of a driver. */
class Driver implements AsyncDisposable {
  readonly #child;
  readonly #lines: AsyncIterator<string>;
  #err = "";

  constructor(cmd: readonly string[], folder: string) {
    const env = { PATH: pathOf(folder), HOME: folder, NO_PROXY: "127.0.0.1" };
    this.#child = Bun.spawn({ cmd: [...cmd], cwd: folder, env, stdin: "pipe", stdout: "pipe", stderr: "pipe" });
    this.#lines = linesOf(this.#child.stdout);
    void this.#child.stderr.text().then((text) => {
      this.#err = text;
    });
  }

  /** Returns the next line. Throws what the driver met, or NotInClient. */
  async next(): Promise<Record<string, unknown>> {
    const { value, done } = await within("the client to respond", this.#lines.next(), ANSWER_MS);
    if (done) throw new Error(`the driver ended: ${this.#err.trim().split("\n").at(-1)}`);
    const line: Record<string, unknown> = JSON.parse(value);
    if (line["unsupported"] === true) throw new NotInClient("gives agents no subscriptions");
    if (line["failed"] !== undefined) throw new Error(String(line["failed"]));
    return line;
  }

  ask(op: string, fields: object = {}): Promise<Record<string, unknown>> {
    this.#child.stdin.write(`${JSON.stringify({ op, ...fields })}\n`);
    this.#child.stdin.flush();
    return this.next();
  }

  call(name: string, given: object): Promise<Record<string, unknown>> {
    return this.ask("call", { name, arguments: given });
  }

  /** Calls a tool that must succeed, and returns its text. */
  async done(name: string, given: object): Promise<string> {
    const { text, isError } = await this.call(name, given);
    if (isError === true) throw new Error(`${name} failed: ${text}`);
    return String(text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin.end();
    const late = setTimeout(() => this.#child.kill("SIGKILL"), 3_000);
    await this.#child.exited;
    clearTimeout(late);
  }
}

type Run = (driver: Driver, node: DevNode, at: (path: string) => Driver) => Promise<void>;

/** Makes the steps of a visit with a client that connects to the address of its preset. */
function visiting(name: keyof typeof VISITS): Run {
  return async (_driver, node, at) => {
    const { preset, steps, absent, judge } = await VISITS[name](node);
    await using driver = at(`/mcp/${preset}`);
    await driver.next();
    const { tools } = await driver.ask("tools");
    if ((tools as string[]).includes(absent)) throw new Error(`${absent} is in the list: ${tools}`);
    const shown: string[] = [];
    for (const step of steps) shown.push(await driver.done(step.tool, step.arguments));
    await judge(shown);
  };
}

const RUNS: Readonly<Record<Check, Run>> = {
  async connects(driver) {
    await driver.next();
  },
  async tools(driver) {
    const { tools } = await driver.ask("tools");
    for (const name of ["context_put", "context_get", "context_wait"])
      if (!(tools as string[]).includes(name)) throw new Error(`${name} is not in the list: ${tools}`);
  },
  async text(driver, node) {
    for (const [id, content] of [
      [AWKWARD_ID, JSON_TEXT],
      ["matrix/digits", DIGITS],
    ] as const) {
      await driver.done("context_put", { id, content, content_type: "text/plain" });
      const stored = await readText(node, id);
      if (stored !== content) throw new Error(`${id} is stored as ${JSON.stringify(stored)}`);
      const got = await driver.done("context_get", { id });
      if (!got.includes(content) && !got.includes(JSON.stringify(content))) throw new Error(`read back as ${got}`);
    }
  },
  async long(driver, node) {
    await writeText(node, "matrix/long", LONG_TEXT);
    mustBeWhole(await driver.done("context_get", { id: "matrix/long" }));
  },
  async error(driver) {
    const { text, isError } = await driver.call("context_get", { id: "matrix/missing" });
    if (isError !== true) throw new Error(`a read of what does not exist is no error: ${text}`);
    mustHelp(String(text), "matrix/missing");
  },
  async resources(driver) {
    const uris = (await driver.ask("resources"))["uris"] as string[];
    const uri = uris.find((one) => decodeURIComponent(new URL(one).pathname) === `/${AWKWARD_ID}`);
    if (uri === undefined) throw new Error(`${AWKWARD_ID} is not in the list: ${uris.slice(0, 5)}`);
    const { text } = await driver.ask("read", { uri });
    if (text !== JSON_TEXT) throw new Error(`read as ${JSON.stringify(text)}`);
  },
  async notified(driver, node) {
    const uri = `cairn:///${AWKWARD_ID}`;
    await driver.ask("subscribe", { uri });
    await writeText(node, AWKWARD_ID, JSON_TEXT.repeat(2));
    const { uri: updated } = await driver.ask("updated");
    if (updated !== uri) throw new Error(`notified of ${updated}`);
  },
  async wait(driver, node) {
    const before = await streamsOf(node);
    const waiting = driver.done("context_wait", { id: "matrix/wait" });
    await eventually("the wait to arrive", async () => (await streamsOf(node)) > before);
    await writeText(node, "matrix/wait", "now");
    const text = await waiting;
    if (!text.includes("matrix/wait")) throw new Error(`the wait returned ${text}`);
  },
  async cancel(driver, node) {
    const before = await streamsOf(node);
    const given = { id: "matrix/never", timeout_seconds: 120 };
    await driver.ask("cancel", { name: "context_wait", arguments: given, after_ms: CANCEL_AFTER_MS });
    await eventually("the cancelled wait to end on the node", async () => (await streamsOf(node)) <= before, {
      withinMs: 15_000,
    });
    await driver.done("context_get", { id: "matrix/digits" });
  },
  async restart(driver, node) {
    await node.restart();
    await driver.done("context_get", { id: "matrix/digits" });
  },
  memory: visiting("memory"),
  collaboration: visiting("collaboration"),
  openai: visiting("openai"),
};

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let kept = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    const lines = (kept + decoder.decode(chunk, { stream: true })).split("\n");
    kept = lines.pop() ?? "";
    yield* lines;
  }
}
