// cairn simulate: lets agents play against a node, several nodes, or a fleet. What they do and check is in simulate/;
// this file parses the options and connects the agents.

import { StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { type BridgeAddress, type BridgeNode, BridgeTransport, fetchThrough } from "../bridge/index.ts";
import { Fault } from "../lib/fault.ts";
import { connectionReason } from "../lib/reason-of.ts";
import { configureLogging, logFor } from "../observe/logging.ts";
import {
  CheckFailedError,
  jsonReporter,
  MAX_AGENTS,
  peopleReporter,
  simulate as run,
  SEEDS,
  type Target,
} from "../simulate/index.ts";
import { bridgeNode, JOIN_MS, localFleetRoute, tailnetFleetRoute } from "./bridge-options.ts";
import { localNodeAddress, urlsOf } from "./client.ts";
import { type Command, type Invocation, isSet, textOption } from "./command.ts";
import { say, wantsJson, writeData } from "./output.ts";

const CHECK_FAILED_EXIT = 1;
const INTERRUPTED_EXIT = 130;
const MAX_ROUNDS = 1_000_000;

/** `cairn simulate`. */
export const simulate: Command = {
  words: ["simulate"],
  summary:
    "let agents write, patch, wait and hand off over MCP, and check every answer; exits 1 at the first failed check",
  more: `Examples:
  cairn simulate                                    four agents against the node of this machine
  cairn simulate --url http://cairn-1 --url http://cairn-2 --agents 20 --rounds 50
  cairn simulate --fleet --clean                    through the fleet bridge; removes what it wrote
  cairn simulate --rounds 0 --clean                 removes what earlier runs left`,
  options: [
    { flags: "--agents <n>", help: "number of agents (default: 4; at least one for each URL)" },
    { flags: "--rounds <n>", help: "number of scenes that each agent plays (default: 5)" },
    { flags: "--seed <n>", help: "repeat the scenes of this seed (default: a random one, which is printed)" },
    { flags: "--space <space>", help: "write in this space (default: simulate)" },
    { flags: "--url <url>", help: "the node at this address; repeat it to spread the agents", repeated: true },
    { flags: "--fleet", help: "through `cairn bridge --fleet`: any live member" },
    {
      flags: "--hostname <name>",
      help: "join the tailnet as a node of its own, for machines without Tailscale (TS_AUTHKEY)",
    },
    { flags: "--data <dir>", help: "the node of this data folder; with --hostname, where its state is kept" },
    { flags: "--private-tailnet", help: "the control server is a test tailnet on 127.0.0.1" },
    { flags: "--json", help: "print JSON lines" },
    { flags: "--clean", help: "remove at the end what was written; with --rounds 0, what earlier runs left" },
  ],
  async run(invocation) {
    configureLogging({ level: "warning", format: "auto" });
    const numbers = {
      agents: numberOption(invocation, "agents", { default: 4, min: 1, max: MAX_AGENTS }),
      rounds: numberOption(invocation, "rounds", { default: 5, min: 0, max: MAX_ROUNDS }),
      seed: numberOption(invocation, "seed", { default: randomSeed(), min: 0, max: SEEDS - 1 }),
    };
    const clean = isSet(invocation, "clean");
    if (numbers.rounds === 0 && !clean)
      throw new Fault("invalid_input", "--rounds 0 plays nothing", { hint: "Add --clean to remove what runs left." });
    const space = spaceOption(invocation);
    const urls = urlsOf(invocation);
    const node = nodeOf(invocation, urls);
    const targets = targetsOf(invocation, urls, node);
    const end = new AbortController();
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => end.abort());
    const lines = new OrderedLines();
    const reporter = wantsJson(invocation) ? jsonReporter(lines.add) : peopleReporter(lines.add);
    try {
      await run({ targets, space, ...numbers, clean, reporter, signal: end.signal });
      return 0;
    } catch (error) {
      if (end.signal.aborted) return INTERRUPTED_EXIT;
      if (!(error instanceof CheckFailedError)) throw notReached(error, targets);
      await lines.written();
      say(`CHECK FAILED (seed ${numbers.seed}): ${error.message}`);
      return CHECK_FAILED_EXIT;
    } finally {
      await lines.written();
      await node?.close();
    }
  },
};

/** Writes lines to stdout one after the other. */
class OrderedLines {
  #last: Promise<unknown> = Promise.resolve();

  readonly add = (text: string): void => {
    this.#last = this.#last.then(() => writeData(`${text}\n`));
  };

  async written(): Promise<void> {
    await this.#last;
  }
}

/** Returns the tailnet node of our own that `--hostname` asks for. */
function nodeOf(invocation: Invocation, [base]: readonly string[]): BridgeNode | undefined {
  const hostname = textOption(invocation, "hostname");
  if (hostname === undefined) return undefined;
  if (base !== undefined) return bridgeNode(invocation, { base, hostname, joinMs: JOIN_MS });
  throw new Fault("invalid_input", "--hostname joins the tailnet, but no --url names the nodes to use there", {
    hint: "Add --url http://cairn.",
  });
}

function targetsOf(
  invocation: Invocation,
  urls: readonly string[],
  node: BridgeNode | undefined,
): [Target, ...Target[]] {
  if (isSet(invocation, "fleet")) {
    const route = (signal: AbortSignal) =>
      node === undefined ? localFleetRoute(invocation, signal) : tailnetFleetRoute(invocation, node, urls, signal);
    return [{ name: "the fleet", connect: () => new BridgeTransport(route, logFor("bridge")) }];
  }
  const addressOf = async (base: string): Promise<BridgeAddress> =>
    node === undefined ? { url: base } : { ...(await node.address()), base };
  const [first, ...others] = urls.map((url) => nodeTarget(url, () => addressOf(url)));
  return first === undefined ? [localTarget(invocation)] : [first, ...others];
}

function localTarget(invocation: Invocation): Target {
  const address = localNodeAddress(invocation);
  return nodeTarget(address.socketPath, () => address);
}

function nodeTarget(name: string, address: () => BridgeAddress | Promise<BridgeAddress>): Target {
  // The host of the URL is not used: the address decides.
  const url = new URL("http://cairn/mcp");
  return { name, connect: () => new StreamableHTTPClientTransport(url, { fetch: fetchThrough(address) }) };
}

function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
}

/** Returns the whole number of an option. Fault `invalid_input` when it is out of range or not a number. */
function numberOption(
  invocation: Invocation,
  name: string,
  limits: { default: number; min: number; max: number },
): number {
  const text = textOption(invocation, name);
  if (text === undefined) return limits.default;
  // Ten digits: seeds are that long.
  const number = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= limits.min && number <= limits.max) return number;
  throw new Fault(
    "invalid_input",
    `--${name} must be a whole number from ${limits.min} to ${limits.max}, not ${JSON.stringify(text)}`,
    { hint: `Give it as --${name} ${limits.default}.` },
  );
}

function spaceOption(invocation: Invocation): string {
  const space = textOption(invocation, "space") ?? "simulate";
  if (/^[A-Za-z0-9.~:@-][A-Za-z0-9._~:@-]{0,63}$/.test(space) && !/^\.{1,2}$/.test(space)) return space;
  throw new Fault("invalid_input", `--space ${JSON.stringify(space)} is not the name of a space`, {
    hint: "Give the part of an id before the first slash, such as simulate.",
  });
}

function notReached(error: unknown, targets: readonly Target[]): unknown {
  if (error instanceof Fault) return error;
  const reason = connectionReason(error);
  const names = targets.map(({ name }) => name).join(", ");
  return new Fault("not_running", `The agents cannot connect to ${names}: ${reason}`, {
    hint: "Start the node with `cairn serve`, or check the address.",
    cause: error,
  });
}
