// cairn bridge: MCP on stdin and stdout for an agent on this machine, to the local node, to a node at an address, or to
// one on the tailnet through a node of its own. This file parses the options; the bridge itself is in bridge/.

import { hostname as machineName } from "node:os";
import { AgentRoute, type Route, runBridge, SingleNodeRoute } from "../bridge/index.ts";
import { FEATURES } from "../features/index.ts";
import { Fault } from "../lib/fault.ts";
import { handleFile } from "../lib/handle-file.ts";
import { configureLogging, logFor } from "../observe/logging.ts";
import { presetsOf, READ_ONLY } from "../operation/presets.ts";
import { bridgeNode, JOIN_MS, localFleetRoute, tailnetFleetRoute, withPreset } from "./bridge-options.ts";
import { dataDirOf, handleFileOf, nodeAddress, urlsOf } from "./client.ts";
import { type Command, type Invocation, isSet, textOption, textsOption } from "./command.ts";
import { say } from "./output.ts";

/** Time limit for a person who opens a URL and logs in, in ms. */
const LOGIN_MS = 15 * 60_000;

const PRESET_HELP = `what the node offers: ${presetsOf(FEATURES)
  .map(({ name }) => name)
  .join(", ")}; ${READ_ONLY} alone or beside one, as core,${READ_ONLY} (docs/presets.md)`;

/** `cairn bridge`. */
export const bridge: Command = {
  words: ["bridge"],
  summary: "stdio MCP to a node, for agents: claude mcp add cairn -- cairn bridge",
  more: `Examples:
  cairn bridge                      the node of this machine
  cairn bridge --url http://cairn   over this machine's own tailnet
  cairn bridge --fleet              the node of this machine, or another one of its fleet when it is down
  cairn bridge --agent builder      as the agent builder: history names it, and no model sees its handle
  cairn bridge cairn                joins the tailnet as a node of its own, for machines without Tailscale:
    TS_AUTHKEY_FILE=key cairn bridge cairn --login     once; later starts need no key`,
  args: [{ name: "[NAME]", help: "a node's name on the tailnet, or its address as a URL" }],
  options: [
    { flags: "--login", help: "only join the tailnet, with TS_AUTHKEY or a login URL, then end" },
    { flags: "--hostname <name>", help: "name of this bridge on the tailnet" },
    { flags: "--data <dir>", help: "the node of this data folder; with NAME, where the bridge keeps its state" },
    {
      flags: "--url <url>",
      help: "the node at this address, such as http://cairn; with --fleet several",
      repeated: true,
    },
    { flags: "--fleet", help: "use any live member, and another one when it dies" },
    {
      flags: "--agent <name>",
      help: "act as this agent: registered at the first call, its handle kept in the data folder",
    },
    { flags: "--agent-type <type>", help: "what kind of agent it says it is, such as reviewer" },
    { flags: "--preset <name>", help: PRESET_HELP },
    { flags: "--prefer-edges", help: "with --fleet: use edges rather than full nodes" },
    { flags: "--private-tailnet", help: "the control server is a test tailnet on 127.0.0.1" },
  ],
  async run(invocation) {
    configureLogging({ level: "warning", format: "auto" });
    const end = new AbortController();
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => end.abort());
    refuseConflicts(invocation);
    const name = invocation.args[0];
    if (name !== undefined) return bridgeThroughTailnet(invocation, name, end.signal);
    refuseUnusable(invocation);
    const route = isSet(invocation, "fleet")
      ? localFleetRoute(invocation, end.signal)
      : new SingleNodeRoute(() => withPreset(nodeAddress(invocation), textOption(invocation, "preset")));
    return run(
      asAgent(invocation, route, (agent) => handleFileOf(invocation, agent, "local:bridge")),
      end.signal,
    );
  },
};

/** Bridges through a tailnet node of its own, or with `--login` only joins the tailnet. */
async function bridgeThroughTailnet(invocation: Invocation, name: string, signal: AbortSignal): Promise<number> {
  const isLogin = isSet(invocation, "login");
  const base = tailnetOrigin(name);
  const node = bridgeNode(invocation, { base, hostname: defaultHostname(), joinMs: isLogin ? LOGIN_MS : JOIN_MS });
  signal.addEventListener("abort", () => void node.close(), { once: true });
  try {
    if (isLogin) {
      await node.address();
      say(`joined the tailnet; cairn bridge ${name} needs no key any more`);
      return 0;
    }
    const route = isSet(invocation, "fleet")
      ? tailnetFleetRoute(invocation, node, [base], signal)
      : new SingleNodeRoute(
          async () => withPreset(await node.address(), textOption(invocation, "preset")),
          () => node.denial,
        );
    // The bridge's own device is the caller, not that of the commands: its agents have files of their own.
    const fileOf = (agent: string) => handleFile(dataDirOf(invocation), ["tailnet", base], agent);
    return await run(asAgent(invocation, route, fileOf), signal);
  } finally {
    await node.close();
  }
}

/** Returns a route whose calls act as the agent of `--agent`; without one the route itself. */
function asAgent(invocation: Invocation, route: Route, fileOf: (name: string) => string): Route {
  const name = textOption(invocation, "agent");
  if (name === undefined) return route;
  return new AgentRoute(route, { name, type: textOption(invocation, "agentType"), file: fileOf(name) });
}

/** Runs the bridge until stdin ends. */
async function run(route: Route, signal: AbortSignal): Promise<number> {
  await runBridge({ route, stdin: process.stdin, stdout: process.stdout, signal, log: logFor("bridge") });
  return 0;
}

function refuseConflicts(invocation: Invocation): void {
  const urls = textsOption(invocation, "url");
  const isFleet = isSet(invocation, "fleet");
  if (invocation.args[0] !== undefined && urls.length > 0) {
    throw new Fault("invalid_input", "A name and --url do not go together", {
      hint: "Give the address as the name to use a tailnet node of its own, or --url to use this machine's tailnet.",
    });
  }
  if (!isFleet && urls.length > 1) {
    throw new Fault("invalid_input", "Several --url are given, but only one node is used without --fleet", {
      hint: "Add --fleet, so that any of them can be used.",
    });
  }
  if (textOption(invocation, "agentType") !== undefined && textOption(invocation, "agent") === undefined) {
    throw new Fault("invalid_input", "--agent-type says what kind of agent --agent is", { hint: "Add --agent NAME." });
  }
  if (!isFleet && isSet(invocation, "preferEdges")) {
    throw new Fault("invalid_input", "--prefer-edges chooses among the members of a fleet", { hint: "Add --fleet." });
  }
}

/** Refuses options that need a name, and addresses that can never be used. A node may start after its bridge. */
function refuseUnusable(invocation: Invocation): void {
  if (isSet(invocation, "login") || textOption(invocation, "hostname") !== undefined) {
    throw new Fault("invalid_input", "--login and --hostname belong to a bridge that joins the tailnet", {
      hint: "Name the node it leads to: cairn bridge cairn --login.",
    });
  }
  try {
    if (isSet(invocation, "fleet")) urlsOf(invocation);
    else nodeAddress(invocation);
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== "not_running") throw error;
  }
}

/** Returns the origin of a node on the tailnet: `cairn` is `http://cairn`. Fault `invalid_input`. */
function tailnetOrigin(name: string): string {
  const url = name.includes("://") ? name : `http://${name}`;
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const isPlain =
    parsed !== undefined && /^https?:$/.test(parsed.protocol) && parsed.username === "" && parsed.pathname === "/";
  if (isPlain && parsed.search === "" && parsed.hash === "") return parsed.origin;
  throw new Fault("invalid_input", `${JSON.stringify(name)} is not the name of a node`, {
    hint: "Give it as cairn, cairn.your-tailnet.ts.net or http://cairn:8080.",
  });
}

/** Returns a name that differs from the machine's own in the admin console. */
function defaultHostname(): string {
  const [machine = ""] = machineName().toLowerCase().split(".");
  const clean = machine.replaceAll(/[^a-z0-9-]/g, "-").replaceAll(/^-+|-+$/g, "");
  return `cairn-bridge${clean === "" ? "" : `-${clean}`}`.slice(0, 63).replace(/-+$/, "");
}
