// The ways of `cairn bridge` and `cairn simulate`: from words on the command line to the nodes that are asked, by this machine or by a tailnet node of our own.

import { hostname as machineName } from "node:os";
import { join, resolve } from "node:path";
import { baseUrl, dataDirOf, localAddress } from "../cli/client.ts";
import { type Invocation, textOption, textsOption } from "../cli/command.ts";
import { say } from "../cli/output.ts";
import { loadSettings } from "../config/load.ts";
import { eachSecret, readSecrets, SECRET_NAMES } from "../config/secrets.ts";
import { hostnameShape } from "../config/shapes.ts";
import { Fault } from "../lib/fault.ts";
import { logFor } from "../observe/logging.ts";
import { registerSecret } from "../observe/redact.ts";
import { Candidates, type CandidatesOptions } from "./candidates.ts";
import type { BridgeAddress } from "./endpoint.ts";
import { FleetRoute } from "./fleet-route.ts";
import { membersFile } from "./known-members.ts";
import { BridgeNode } from "./node.ts";
import type { Route } from "./route.ts";

/** A client waits for its first answer: with state or a fresh key, joining takes a second or two. */
export const JOIN_MS = 45_000;

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
export function fleetBy(
  invocation: Invocation,
  node: BridgeNode,
  bases: readonly string[],
  signal: AbortSignal,
): Route {
  const by = async (base: string): Promise<BridgeAddress> => ({ ...(await node.address()), base });
  const given = bases.map((base) => ({ name: base, address: () => by(base) }));
  return openFleet(invocation, given, ["tailnet", ...bases], signal, by);
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

/** A tailnet node of our own that leads to `base`; `hostname` is its name where `--hostname` gives none. It joins when its address is asked for. */
export function joinedNode(
  invocation: Invocation,
  { base, hostname, joinMs }: { base: string; hostname: string; joinMs: number },
): BridgeNode {
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
    hostname: hostnameOf(textOption(invocation, "hostname") ?? hostname),
    settings,
    secrets,
    env: invocation.env,
    privateTailnet: invocation.options["privateTailnet"] === true,
    joinMs,
    log: logFor("bridge"),
    onLoginUrl: (url) => say(`log this bridge in: open ${url}`),
  });
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

function hostnameOf(text: string): string {
  if (hostnameShape.fits(text)) return text;
  throw new Fault("invalid_input", `--hostname ${JSON.stringify(text)} is no name of a node`, {
    hint: `Give ${hostnameShape.wanted}.`,
  });
}

/** A name that the admin console tells apart from the machine's own. */
export function ownName(): string {
  const [machine = ""] = machineName().toLowerCase().split(".");
  const clean = machine.replaceAll(/[^a-z0-9-]/g, "-").replaceAll(/^-+|-+$/g, "");
  return `cairn-bridge${clean === "" ? "" : `-${clean}`}`.slice(0, 63).replace(/-+$/, "");
}
