// npm start without a key: a private tailnet on this machine with one node or a whole fleet, and nodes that join it
// from another terminal. The tailnet is new each time. The store of the first node is kept in .cache/start; the others
// are copies of it and start empty.

import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import { TestTailnet } from "../test/kit/tailnet.ts";
import { BuildError } from "./native.ts";
import { cairn, freePort, type PrivateNode, type Role, type Serving, spawnNode } from "./start-node.ts";
import { howToUse, wordsOfAnEnd } from "./start-words.ts";

const root = dirname(import.meta.dir);
const MAX_NODES = 9;
const FIRST_PORT = 8470;
const END_MS = 15_000;
/** Roles of the nodes of `--nodes N`, in this order: three show every role, five survive the loss of one voter. */
const ROLES: readonly Role[] = [
  "central",
  "regional",
  "edge",
  "central",
  "central",
  "regional",
  "edge",
  "regional",
  "edge",
];

/** What another terminal needs to find the tailnet and to let its node join. */
const running = z.object({
  pid: z.number().int(),
  controlUrl: z.string(),
  key: z.string(),
  dataDir: z.string(),
  name: z.string(),
  /** Where its sockets are: the variables of another terminal may name another place. */
  places: z.record(z.string(), z.string()),
});
type Running = z.infer<typeof running>;

/** What may be given to `npm start --` without a key. */
const OPTIONS = {
  nodes: { type: "string" },
  data: { type: "string" },
  port: { type: "string" },
  role: { type: "string", default: "central" },
  join: { type: "string", default: "auto" },
} as const;

/** Reads the arguments. Throws BuildError with exit code 2 for words that it does not know. */
export function startArguments(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS }).values;
  } catch (error) {
    const [what = ""] = (error as Error).message.split(". ");
    const known = Object.keys(OPTIONS).map((name) => `--${name}`);
    const words = `without a key, npm start -- takes ${known.join(", ")}; with TS_AUTHKEY it takes what cairn serve takes`;
    throw new BuildError(`${what}\n  try: ${words}`, 2);
  }
}

/**
 * Runs until a signal, or until all nodes have ended. One that ends is named, and the others go on: a fleet is tried by
 * killing nodes. Returns the exit code.
 */
export async function startPrivate(engine: string, values: ReturnType<typeof startArguments>): Promise<number> {
  const role = ROLES.find((one) => one === values.role);
  if (role === undefined) throw new BuildError(`--role must be central, regional or edge, got "${values.role}"`);
  if (values.join !== "auto")
    throw new BuildError(
      `--join on the private tailnet must be auto, got "${values.join}"; set TS_AUTHKEY to join a fleet of yours`,
    );
  const home = resolve(values.data ?? join(root, ".cache", "start"));
  const ending = Promise.withResolvers<number>();
  let isEnding = false;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => {
      isEnding = true;
      ending.resolve(0);
    });
  const nodes: PrivateNode[] = [];
  const wanted = { engine, home, port: portOf(values.port), ending: ending.promise };
  const play: Play = { ...wanted, nodes, isEnding: () => isEnding };
  try {
    const there = role === "central" || values.nodes !== undefined ? undefined : findRunning(home);
    if (there !== undefined) await joinRunning(play, there, role);
    else await startFleet(play, rolesOf(values.nodes, role));
    const left = outlive(play);
    return await Promise.race([ending.promise, left]);
  } catch (error) {
    if (error === ENDED) return 0;
    throw error;
  } finally {
    for (const node of [...nodes].reverse()) node.kill("SIGTERM");
    const late = setTimeout(() => nodes.forEach((node) => void node.kill("SIGKILL")), END_MS);
    await Promise.all(nodes.map((node) => node.exited));
    clearTimeout(late);
    await play.close?.();
  }
}

/** Reports what is left when a node ends. Resolves with the exit code of the last one. */
async function outlive({ nodes, isEnding, addressFile }: Play): Promise<number> {
  const living = new Set(nodes);
  let last = 1;
  const ends = nodes.map(async (node) => {
    const code = await node.exited;
    living.delete(node);
    if (isEnding()) return;
    last = code === 0 ? 1 : code;
    for (const line of wordsOfAnEnd(node, code, nodes, [...living])) console.error(`cairn: ${line}`);
    const issuer = [...living].find(({ role }) => role === "central");
    if (addressFile !== undefined && issuer !== undefined) moveTo(addressFile, issuer);
  });
  await Promise.all(ends);
  return last;
}

/** Lets nodes of other terminals join through this member. */
function moveTo(addressFile: string, { name, dataDir }: PrivateNode): void {
  const about = running.parse(JSON.parse(readFileSync(addressFile, "utf8")));
  writeFileSync(addressFile, JSON.stringify({ ...about, name, dataDir }), { mode: 0o600 });
}

interface Play {
  engine: string;
  home: string;
  port: number;
  ending: Promise<number>;
  nodes: PrivateNode[];
  /** Whether a signal has come. */
  isEnding: () => boolean;
  /** Where nodes of other terminals read how to join; set by the terminal that has the tailnet. */
  addressFile?: string;
  close?: () => Promise<void>;
}

/** Thrown to unwind when a signal arrives before all nodes serve. */
const ENDED = Symbol("ended");

/**
 * Starts a tailnet of its own and a node for each role: the first founds the fleet, the others get a ticket from it.
 */
async function startFleet(play: Play, roles: readonly Role[]): Promise<void> {
  const tailnet = await TestTailnet.start();
  const addressFile = join(play.home, "private.json");
  play.close = async () => {
    rmSync(addressFile, { force: true });
    await tailnet[Symbol.asyncDispose]();
  };
  const key = `tskey-auth-${crypto.randomUUID().replaceAll("-", "")}`;
  await tailnet.auth("key", { keys: [key] });
  const serving: Serving[] = [];
  for (const [at, role] of roles.entries()) {
    const name = roles.length === 1 ? "cairn" : `cairn-${at + 1}`;
    const dataDir = join(play.home, name);
    if (at === 0) await goOnAlone(dataDir);
    else makeRoom(dataDir);
    const leader = serving[0];
    const joins =
      leader === undefined ? undefined : { place: leader.name, ticket: await ticketOf(leader.dataDir, role) };
    const node = spawnNode({
      name,
      role,
      engine: play.engine,
      key,
      dataDir,
      controlUrl: tailnet.controlUrl,
      joins,
      port: freePort(play.port === 0 ? 0 : play.port + at),
    });
    play.nodes.push(node);
    serving.push(await inTime(play, node));
  }
  const leader = serving[0];
  if (leader === undefined) return;
  const { name, dataDir } = leader;
  const about: Running = {
    pid: process.pid,
    controlUrl: tailnet.controlUrl,
    key,
    dataDir,
    name,
    places: socketPlaces(),
  };
  writeFileSync(addressFile, JSON.stringify(about), { mode: 0o600 });
  play.addressFile = addressFile;
  console.log(howToUse(serving));
}

/** Starts a node on the tailnet of another terminal; its data is removed when it ends. */
async function joinRunning(play: Play, there: Running, role: Role): Promise<void> {
  const name = `cairn-${role}-${process.pid}`;
  const dataDir = join(play.home, name);
  play.close = async () => rmSync(dataDir, { recursive: true, force: true });
  const node = spawnNode({
    name,
    role,
    engine: play.engine,
    key: there.key,
    dataDir,
    controlUrl: there.controlUrl,
    joins: { place: there.name, ticket: await ticketOf(there.dataDir, role, there.places) },
    port: freePort(play.port),
  });
  play.nodes.push(node);
  console.log(howToUse([await inTime(play, node)], true));
}

/** Returns the tailnet that `npm start` runs in another terminal, if there is one. */
function findRunning(home: string): Running | undefined {
  const file = join(home, "private.json");
  if (!existsSync(file)) return undefined;
  const found = running.parse(JSON.parse(readFileSync(file, "utf8")));
  try {
    process.kill(found.pid, 0);
    return found;
  } catch {
    return undefined;
  }
}

/**
 * Returns the roles that a terminal starts by itself: N nodes, or the requested one with the central node that it
 * needs.
 */
function rolesOf(nodes: string | undefined, role: Role): readonly Role[] {
  if (nodes === undefined) return role === "central" ? ["central"] : ["central", role];
  const count = Number(nodes);
  if (Number.isInteger(count) && count >= 1 && count <= MAX_NODES) return ROLES.slice(0, count);
  throw new BuildError(`--nodes must be a number from 1 to ${MAX_NODES}, got "${nodes}"`);
}

function portOf(text: string | undefined): number {
  const port = text === undefined ? FIRST_PORT : Number(text);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new BuildError(`--port must be a number from 0 to 65535, got "${text}"`);
}

/** The members of the last run were on a tailnet that is gone: this node's data continue as a fleet of one. */
async function goOnAlone(dataDir: string): Promise<void> {
  if (!existsSync(join(dataDir, "raft", "fleet.json"))) return;
  await cairn(["recover", "--accept-loss", "--data", dataDir]);
}

/** A copy of the first node's store starts empty; a store of its own is kept beside it. */
function makeRoom(dataDir: string): void {
  const isCopy = ["raft", "edge"].some((folder) => existsSync(join(dataDir, folder, "fleet.json")));
  if (isCopy) rmSync(dataDir, { recursive: true, force: true });
  else if (existsSync(dataDir)) renameSync(dataDir, `${dataDir}-${new Date().toISOString().replaceAll(":", "")}`);
}

/** Returns a ticket, over the local socket of a member that may issue one. */
async function ticketOf(dataDir: string, role: Role, places = socketPlaces()): Promise<string> {
  return (await cairn(["ticket", "--role", role, "--data", dataDir], places)).trim();
}

function socketPlaces(): Record<string, string> {
  return Object.fromEntries(["XDG_RUNTIME_DIR", "TMPDIR"].map((name) => [name, process.env[name] ?? ""]));
}

async function inTime({ ending }: Play, node: PrivateNode): Promise<Serving> {
  const failed = node.exited.then((code) => {
    throw new BuildError(`a node ended with ${code} before it served; its output is above`);
  });
  const found = await Promise.race([node.serving, failed, ending]);
  if (typeof found === "number") throw ENDED;
  return found;
}
