// cairn simulate: lets agents play against a node, several, or a fleet. What they do and check is simulate/; here are the words and the ways.

import { StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { type BridgeAddress, type BridgeNode, BridgeTransport, fetchThrough } from "../bridge/index.ts";
import { Fault } from "../lib/fault.ts";
import { configureLogging, logFor } from "../observe/logging.ts";
import { MAX_AGENTS, type Place, simulate as run, SEEDS, tellJson, tellPeople, Wrong } from "../simulate/index.ts";
import { bridgeNode, JOIN_MS, localFleetRoute, tailnetFleetRoute } from "./bridge-options.ts";
import { localNodeAddress, urlsOf } from "./client.ts";
import { type Command, type Invocation, textOption } from "./command.ts";
import { say, writeData } from "./output.ts";

const WRONG_EXIT = 1;
const MAX_ROUNDS = 1_000_000;

/** Agents that play and check. */
export const simulate: Command = {
  words: ["simulate"],
  summary:
    "let agents write, patch, wait and hand off by MCP, and check what they are told; exits 1 with the first thing wrong",
  more: "Examples:\n  cairn simulate                                    four agents against the node of this machine\n  cairn simulate --url http://cairn-1 --url http://cairn-2 --agents 20 --rounds 50\n  cairn simulate --fleet --clean                    through the fleet bridge; removes what it wrote\n  cairn simulate --rounds 0 --clean                 removes what earlier runs left",
  options: [
    { flags: "--agents <n>", help: "how many agents (default: 4; at least one for each URL)" },
    { flags: "--rounds <n>", help: "how many scenes each plays (default: 5)" },
    { flags: "--seed <n>", help: "plays the scenes of that seed again (default: a random one, which is printed)" },
    { flags: "--space <space>", help: "write below this space (default: simulate)" },
    { flags: "--url <url>", help: "a node at this address; several share the agents", repeated: true },
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
      agents: within(invocation, "agents", 4, 1, MAX_AGENTS),
      rounds: within(invocation, "rounds", 5, 0, MAX_ROUNDS),
      seed: within(invocation, "seed", crypto.getRandomValues(new Uint32Array(1))[0] ?? 0, 0, SEEDS - 1),
    };
    const clean = invocation.options["clean"] === true;
    if (numbers.rounds === 0 && !clean)
      throw new Fault("invalid_input", "--rounds 0 plays nothing", { hint: "Add --clean to remove what runs left." });
    const urls = urlsOf(invocation);
    const node = nodeOf(invocation, urls);
    const places = placesOf(invocation, urls, node);
    const end = new AbortController();
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => end.abort());
    const lines = new Lines();
    const tell = invocation.options["json"] === true ? tellJson(lines.add) : tellPeople(lines.add);
    const space = spaceOf(invocation);
    try {
      await run({ places, space, ...numbers, clean, tell, signal: end.signal });
      return 0;
    } catch (error) {
      if (end.signal.aborted) return INTERRUPTED_EXIT;
      if (!(error instanceof Wrong)) throw notReached(error, places);
      await lines.written();
      say(`WRONG (seed ${numbers.seed}): ${error.message}`);
      return WRONG_EXIT;
    } finally {
      await lines.written();
      await node?.close();
    }
  },
};

const INTERRUPTED_EXIT = 130;

/** Lines on stdout, one after the other. */
class Lines {
  #last: Promise<unknown> = Promise.resolve();

  readonly add = (text: string): void => {
    this.#last = this.#last.then(() => writeData(`${text}\n`));
  };

  async written(): Promise<void> {
    await this.#last;
  }
}

/** The node of our own that `--hostname` names. */
function nodeOf(invocation: Invocation, [base]: readonly string[]): BridgeNode | undefined {
  const hostname = textOption(invocation, "hostname");
  if (hostname === undefined) return undefined;
  if (base !== undefined) return bridgeNode(invocation, { base, hostname, joinMs: JOIN_MS });
  throw new Fault("invalid_input", "--hostname joins the tailnet, and no --url says which nodes to ask there", {
    hint: "Add --url http://cairn.",
  });
}

function placesOf(invocation: Invocation, urls: readonly string[], node: BridgeNode | undefined): [Place, ...Place[]] {
  if (invocation.options["fleet"] === true) {
    const route = (signal: AbortSignal) =>
      node === undefined ? localFleetRoute(invocation, signal) : tailnetFleetRoute(invocation, node, urls, signal);
    return [{ name: "the fleet", connect: () => new BridgeTransport(route, logFor("bridge")) }];
  }
  const way = (base: string) => (node === undefined ? { url: base } : node.address().then((by) => ({ ...by, base })));
  const [first, ...others] = urls.map((url) => placeAt(url, () => way(url)));
  return first === undefined ? [localPlace(invocation)] : [first, ...others];
}

function localPlace(invocation: Invocation): Place {
  const address = localNodeAddress(invocation);
  return placeAt(address.socketPath, () => address);
}

function placeAt(name: string, address: () => BridgeAddress | Promise<BridgeAddress>): Place {
  // The host is the address's.
  const url = new URL("http://cairn/mcp");
  return { name, connect: () => new StreamableHTTPClientTransport(url, { fetch: fetchThrough(address) }) };
}

function within(invocation: Invocation, name: string, otherwise: number, least: number, most: number): number {
  // Ten digits: seeds are as long.
  const text = textOption(invocation, name);
  const number = text === undefined ? otherwise : /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= least && number <= most) return number;
  throw new Fault(
    "invalid_input",
    `--${name} should be a whole number from ${least} to ${most}, and is ${JSON.stringify(text)}`,
    {
      hint: `Give it as --${name} ${otherwise}.`,
    },
  );
}

function spaceOf(invocation: Invocation): string {
  const space = textOption(invocation, "space") ?? "simulate";
  if (/^[A-Za-z0-9.~:@-][A-Za-z0-9._~:@-]{0,63}$/.test(space) && !/^\.{1,2}$/.test(space)) return space;
  throw new Fault("invalid_input", `--space ${JSON.stringify(space)} is no space`, {
    hint: "Give the part of an id before the first slash, such as simulate.",
  });
}

function notReached(error: unknown, places: readonly Place[]): unknown {
  if (error instanceof Fault) return error;
  const said = error instanceof Error ? error.message : String(error);
  return new Fault(
    "not_running",
    `The agents cannot connect to ${places.map(({ name }) => name).join(", ")}: ${said}`,
    {
      hint: "Start the node with `cairn serve`, or see whether the address is right.",
      cause: error,
    },
  );
}
