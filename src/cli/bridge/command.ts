// cairn bridge: MCP on stdin and stdout for an agent on this machine, carried to the local node, to one at an address, or to one of the tailnet by a node of its own.

import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { loadSettings } from "../../config/load.ts";
import { eachSecret, readSecrets, SECRET_NAMES } from "../../config/secrets.ts";
import { hostnameShape } from "../../config/shapes.ts";
import { Fault } from "../../lib/fault.ts";
import { configureLogging, logFor } from "../../observe/logging.ts";
import { registerSecret } from "../../observe/redact.ts";
import { baseUrl, dataDirOf, localAddress, nodeAddress } from "../client.ts";
import { type Command, type Invocation, textOption, textsOption } from "../command.ts";
import { say } from "../output.ts";
import { Candidates, type CandidatesOptions } from "./candidates.ts";
import { FleetRoute } from "./fleet.ts";
import { membersFile } from "./members.ts";
import { BridgeNode } from "./node.ts";
import type { BridgeAddress } from "./place.ts";
import { OneRoute, type Route } from "./route.ts";

/** A client waits for its first answer: with state or a fresh key, joining takes a second or two. */
const JOIN_MS = 45_000;
/** A person opens a URL and logs in. */
const LOGIN_MS = 15 * 60_000;

/** stdio MCP to a node or to a fleet. */
export const bridge: Command = {
  words: ["bridge"],
  summary: "stdio MCP to a node, for agents: claude mcp add cairn -- cairn bridge",
  more: "Examples:\n  cairn bridge                      the node of this machine\n  cairn bridge --url http://cairn   by this machine's own tailnet\n  cairn bridge --fleet              the node of this machine, and when it is away another one of its fleet\n  cairn bridge cairn                joins the tailnet as a node of its own, for machines without Tailscale:\n    TS_AUTHKEY_FILE=key cairn bridge cairn --login     once; then no key is needed any more",
  args: [{ name: "[NAME]", help: "a node's name on the tailnet, or its address as a URL" }],
  options: [
    { flags: "--login", help: "only join the tailnet, by TS_AUTHKEY or a login URL, then end" },
    { flags: "--hostname <name>", help: "what this bridge is called on the tailnet" },
    { flags: "--data <dir>", help: "the node of this data folder; with NAME, where the bridge keeps its state" },
    {
      flags: "--url <url>",
      help: "the node at this address, such as http://cairn; with --fleet several",
      repeated: true,
    },
    { flags: "--fleet", help: "ask any live member, and go on at another one when it dies" },
    { flags: "--prefer-edges", help: "with --fleet: ask edges rather than full nodes" },
    { flags: "--private-tailnet", help: "the control server is a test tailnet on 127.0.0.1" },
  ],
  async run(invocation) {
    configureLogging({ level: "warning", format: "auto" });
    const end = new AbortController();
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => end.abort());
    const name = invocation.args[0];
    const fleet = invocation.options["fleet"] === true;
    refuseUnclear(invocation, fleet);
    if (name === undefined) {
      refuseWithoutName(invocation, fleet);
      return carry(
        fleet ? fleetRoute(invocation, end.signal) : new OneRoute(() => nodeAddress(invocation)),
        end.signal,
      );
    }
    const node = joinedNode(invocation, name);
    end.signal.addEventListener("abort", () => void node.close(), { once: true });
    try {
      if (invocation.options["login"] === true) {
        await node.address();
        say(`joined the tailnet; cairn bridge ${name} needs no key any more`);
        return 0;
      }
      const route = fleet ? fleetBy(invocation, node, baseOf(name), end.signal) : new OneRoute(() => node.address());
      return await carry(route, end.signal);
    } finally {
      await node.close();
    }
  },
};

/** Carries until stdin ends. */
async function carry(route: Route, signal: AbortSignal): Promise<number> {
  const { runBridge } = await import("./bridge.ts");
  await runBridge({ route, stdin: process.stdin, stdout: process.stdout, signal, log: logFor("bridge") });
  return 0;
}

/** The members that `--url` names, or CAIRN_URL, and the node of this machine: alone it says which fleet it is, beside them it counts if it is of theirs. */
export function fleetRoute(invocation: Invocation, signal: AbortSignal): Route {
  const urls = urlsOf(invocation);
  const byUrl = urls.map((url) => ({ name: url, address: () => ({ url }) }));
  const local = {
    name: "the node of this machine",
    beside: urls.length > 0,
    // Looked for each time: it may start after the bridge.
    address: () => localAddress(invocation),
  };
  return openFleet(invocation, [...byUrl, local], urls.length > 0 ? urls : [dataDirOf(invocation)], signal, (url) => ({
    url,
  }));
}

/** The same by the bridge's own node of the tailnet. */
function fleetBy(invocation: Invocation, node: BridgeNode, base: string, signal: AbortSignal): Route {
  const by = async (told: string): Promise<BridgeAddress> => ({ ...(await node.address()), base: told });
  return openFleet(invocation, [{ name: base, address: () => by(base) }], ["tailnet", base], signal, by);
}

function openFleet(
  invocation: Invocation,
  given: CandidatesOptions["given"],
  words: readonly string[],
  signal: AbortSignal,
  toldAddress: CandidatesOptions["toldAddress"],
): Route {
  const log = logFor("bridge");
  const candidates = new Candidates({ given, toldAddress, file: membersFile(words, invocation.env), log });
  return new FleetRoute({ candidates, preferEdges: invocation.options["preferEdges"] === true, signal, log });
}

/** The URLs that `--url` names, else CAIRN_URL unless a data folder is named. Fault `invalid_input` for what is none. */
export function urlsOf(invocation: Invocation): string[] {
  const given = textsOption(invocation, "url");
  const byVariable = textOption(invocation, "data") === undefined ? invocation.env["CAIRN_URL"] : undefined;
  const urls = given.length > 0 ? given : byVariable === undefined || byVariable === "" ? [] : [byVariable];
  return [...new Set(urls.map(baseUrl))];
}

function refuseUnclear(invocation: Invocation, fleet: boolean): void {
  if (!fleet && textsOption(invocation, "url").length > 1) {
    throw new Fault("invalid_input", "Several --url are given, and one node is asked", {
      hint: "Add --fleet, so that any of them may be asked.",
    });
  }
  if (!fleet && invocation.options["preferEdges"] === true) {
    throw new Fault("invalid_input", "--prefer-edges says which member of a fleet is asked", { hint: "Add --fleet." });
  }
}

function refuseWithoutName(invocation: Invocation, fleet: boolean): void {
  if (invocation.options["login"] === true || textOption(invocation, "hostname") !== undefined) {
    throw new Fault("invalid_input", "--login and --hostname belong to a bridge that joins the tailnet", {
      hint: "Name the node it leads to: cairn bridge cairn --login.",
    });
  }
  try {
    if (fleet) urlsOf(invocation);
    else nodeAddress(invocation);
  } catch (error) {
    // A node that is not there yet is no reason to go; an address that is none never becomes one.
    if (!(error instanceof Fault) || error.code !== "not_running") throw error;
  }
}

function joinedNode(invocation: Invocation, name: string): BridgeNode {
  if (textsOption(invocation, "url").length > 0) {
    throw new Fault("invalid_input", "A name and --url do not go together", {
      hint: "Give the address as the name to go by a node of its own, or --url to go by this machine's own tailnet.",
    });
  }
  const base = baseOf(name);
  const data = textOption(invocation, "data");
  const { settings } = loadSettings({ flags: data === undefined ? {} : { data }, env: invocation.env });
  const secrets = readSecrets(invocation.env);
  eachSecret(secrets, registerSecret);
  for (const secret of SECRET_NAMES) delete process.env[secret];
  process.umask(0o077);
  const dataDir = resolve(settings.data);
  return new BridgeNode({
    folder: join(dataDir, `bridge-${new URL(base).hostname.replaceAll(/[^a-z0-9.-]/g, "_")}`),
    dataDir,
    base,
    hostname: hostnameOf(textOption(invocation, "hostname") ?? ownName()),
    settings,
    secrets,
    env: invocation.env,
    privateTailnet: invocation.options["privateTailnet"] === true,
    joinMs: invocation.options["login"] === true ? LOGIN_MS : JOIN_MS,
    log: logFor("bridge"),
    onLoginUrl: (url) => say(`log this bridge in: open ${url}`),
  });
}

/** `cairn` is `http://cairn`. */
function baseOf(name: string): string {
  const url = name.includes("://") ? name : `http://${name}`;
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const plain =
    parsed !== undefined && /^https?:$/.test(parsed.protocol) && parsed.username === "" && parsed.pathname === "/";
  if (plain && parsed.search === "" && parsed.hash === "") return parsed.origin;
  throw new Fault("invalid_input", `${JSON.stringify(name)} is not the name of a node`, {
    hint: "Give it as cairn, cairn.your-tailnet.ts.net or http://cairn:8080.",
  });
}

function hostnameOf(text: string): string {
  if (hostnameShape.fits(text)) return text;
  throw new Fault("invalid_input", `--hostname ${JSON.stringify(text)} is no name of a node`, {
    hint: `Give ${hostnameShape.wanted}.`,
  });
}

/** A name that the admin console tells apart from the machine's own. */
function ownName(): string {
  const [machine = ""] = hostname().toLowerCase().split(".");
  const clean = machine.replaceAll(/[^a-z0-9-]/g, "-").replaceAll(/^-+|-+$/g, "");
  return `cairn-bridge${clean === "" ? "" : `-${clean}`}`.slice(0, 63).replace(/-+$/, "");
}
