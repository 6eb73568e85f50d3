// cairn bridge: MCP on stdin and stdout for an agent on this machine, carried to the local node, to one at an address, or to one of the tailnet by a node of its own.

import { hostname as machineName } from "node:os";
import { type Route, runBridge, SingleNodeRoute } from "../bridge/index.ts";
import { Fault } from "../lib/fault.ts";
import { configureLogging, logFor } from "../observe/logging.ts";
import { bridgeNode, JOIN_MS, localFleetRoute, tailnetFleetRoute } from "./bridge-options.ts";
import { nodeAddress, urlsOf } from "./client.ts";
import { type Command, type Invocation, textOption, textsOption } from "./command.ts";
import { say } from "./output.ts";

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
    refuseUnclear(invocation, name, fleet);
    if (name === undefined) {
      refuseWithoutName(invocation, fleet);
      return carry(
        fleet ? localFleetRoute(invocation, end.signal) : new SingleNodeRoute(() => nodeAddress(invocation)),
        end.signal,
      );
    }
    const login = invocation.options["login"] === true;
    const base = baseOf(name);
    const node = bridgeNode(invocation, { base, hostname: ownName(), joinMs: login ? LOGIN_MS : JOIN_MS });
    end.signal.addEventListener("abort", () => void node.close(), { once: true });
    try {
      if (login) {
        await node.address();
        say(`joined the tailnet; cairn bridge ${name} needs no key any more`);
        return 0;
      }
      const route = fleet
        ? tailnetFleetRoute(invocation, node, [base], end.signal)
        : new SingleNodeRoute(() => node.address());
      return await carry(route, end.signal);
    } finally {
      await node.close();
    }
  },
};

/** Carries until stdin ends. */
async function carry(route: Route, signal: AbortSignal): Promise<number> {
  await runBridge({ route, stdin: process.stdin, stdout: process.stdout, signal, log: logFor("bridge") });
  return 0;
}

function refuseUnclear(invocation: Invocation, name: string | undefined, fleet: boolean): void {
  if (name !== undefined && textsOption(invocation, "url").length > 0) {
    throw new Fault("invalid_input", "A name and --url do not go together", {
      hint: "Give the address as the name to go by a node of its own, or --url to go by this machine's own tailnet.",
    });
  }
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

/** `cairn` is `http://cairn`. */
export function baseOf(name: string): string {
  const url = name.includes("://") ? name : `http://${name}`;
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const plain =
    parsed !== undefined && /^https?:$/.test(parsed.protocol) && parsed.username === "" && parsed.pathname === "/";
  if (plain && parsed.search === "" && parsed.hash === "") return parsed.origin;
  throw new Fault("invalid_input", `${JSON.stringify(name)} is not the name of a node`, {
    hint: "Give it as cairn, cairn.your-tailnet.ts.net or http://cairn:8080.",
  });
}

/** A name that the admin console tells apart from the machine's own. */
export function ownName(): string {
  const [machine = ""] = machineName().toLowerCase().split(".");
  const clean = machine.replaceAll(/[^a-z0-9-]/g, "-").replaceAll(/^-+|-+$/g, "");
  return `cairn-bridge${clean === "" ? "" : `-${clean}`}`.slice(0, 63).replace(/-+$/, "");
}
