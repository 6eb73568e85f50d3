// What is known of each session, in a journal that survives the node: clients go on after a restart with the session
// that they have, and many of them can do nothing else. It holds no rights and no content; a lost line costs its client
// a new `initialize`.

import { appendFileSync, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { clientClaim } from "../lib/client-claim.ts";
import { isObject, parseObject } from "../lib/json-object.ts";
import { reasonOf } from "../lib/reason-of.ts";
import type { LogLine } from "../observe/logging.ts";
import { PerOwner } from "./bounds.ts";

/** Lines beyond those that are needed after which the journal is rewritten. */
const MAX_STALE_LINES = 4096;
/** Longest params of an `initialize` that are kept, in characters; of longer ones the revision is kept. */
const MAX_PARAMS = 4096;
/** After a failed write the next one is tried this much later, in ms. */
const RETRY_MS = 60_000;

export interface KeptSession {
  readonly id: string;
  /** As `ownerOf` returns it. */
  readonly owner: string;
  /** As `connectionOf` returns it: with another preset the session does not exist. */
  readonly connection: string;
  /** `Caller.id` of its owner. */
  readonly callerId: string;
  /** The params of its `initialize`. */
  readonly params: Record<string, unknown>;
  /** URIs of the resources that it is subscribed to. */
  readonly watched: Set<string>;
  /** Key of the agent as which its requests act: the one that it registered or whose handle it showed last. */
  agentKey: string | undefined;
  /** When it was last used, in ms of the clock; not in the journal. */
  usedMs: number;
}

/** All sessions of a node, open or not. The caller bounds how many there are. */
export class KeptSessions {
  readonly owners = new PerOwner();
  readonly #byId = new Map<string, KeptSession>();
  readonly #path: string | undefined;
  readonly #log: LogLine;
  readonly #nowMs: () => number;
  #lines = 0;
  #failedMs = Number.NEGATIVE_INFINITY;
  #isStale = false;

  /** Reads the journal at `path`; without one, sessions end with the node. */
  constructor(path: string | undefined, log: LogLine, nowMs: () => number) {
    this.#path = path;
    this.#log = log;
    this.#nowMs = nowMs;
    if (path === undefined) return;
    for (const line of linesOf(path, log)) this.#read(line);
    for (const { owner } of this.#byId.values()) this.owners.add(owner);
    this.#lines = Number.POSITIVE_INFINITY;
  }

  get size(): number {
    return this.#byId.size;
  }

  list(): KeptSession[] {
    return [...this.#byId.values()];
  }

  find(id: string): KeptSession | undefined {
    return this.#byId.get(id);
  }

  /** Adds a new session. */
  add(opened: Omit<KeptSession, "watched" | "agentKey" | "usedMs">): KeptSession {
    const params = JSON.stringify(opened.params).length <= MAX_PARAMS ? opened.params : shortened(opened.params);
    const session = { ...opened, params, watched: new Set<string>(), agentKey: undefined, usedMs: this.#nowMs() };
    this.#byId.set(session.id, session);
    this.owners.add(session.owner);
    this.#write(openLine(session));
    return session;
  }

  watch(session: KeptSession, uri: string): void {
    if (session.watched.has(uri)) return;
    session.watched.add(uri);
    this.#write({ what: "watch", id: session.id, uri });
  }

  unwatch(session: KeptSession, uri: string): void {
    if (session.watched.delete(uri)) this.#write({ what: "unwatch", id: session.id, uri });
  }

  /** Keeps the agent of a session, by its key. */
  actAs(session: KeptSession, agentKey: string): void {
    if (session.agentKey === agentKey) return;
    session.agentKey = agentKey;
    this.#write({ what: "agent", id: session.id, agentKey });
  }

  /** Forgets a session; its id is unknown from now on. */
  remove(session: KeptSession): void {
    if (!this.#byId.delete(session.id)) return;
    this.owners.remove(session.owner);
    this.#write({ what: "end", id: session.id });
  }

  #read(line: Record<string, unknown>): void {
    const { what, id, uri, agentKey } = line;
    if (typeof id !== "string") return;
    if (what === "end") this.#byId.delete(id);
    else if (what === "open") this.#readOpen(id, line);
    else if (what === "agent" && typeof agentKey === "string") {
      const session = this.#byId.get(id);
      if (session !== undefined) session.agentKey = agentKey;
    } else if (what === "watch" && typeof uri === "string") this.#byId.get(id)?.watched.add(uri);
    else if (what === "unwatch" && typeof uri === "string") this.#byId.get(id)?.watched.delete(uri);
  }

  #readOpen(id: string, line: Record<string, unknown>): void {
    const { owner, connection, callerId, params, watched, agentKey: key } = line;
    if (typeof owner !== "string" || typeof connection !== "string") return;
    if (typeof callerId !== "string" || !isObject(params)) return;
    const uris = Array.isArray(watched) ? watched.filter((uri) => typeof uri === "string") : [];
    const agentKey = typeof key === "string" ? key : undefined;
    const kept = { id, owner, connection, callerId, params, watched: new Set(uris), agentKey };
    this.#byId.set(id, { ...kept, usedMs: this.#nowMs() });
  }

  /** Appends a line, or rewrites the journal where most of it is not needed or a line is missing. */
  #write(line: Record<string, unknown>): void {
    if (this.#path === undefined) return;
    try {
      if (this.#isStale && this.#nowMs() < this.#failedMs + RETRY_MS) return;
      if (this.#isStale || this.#hasStaleLines()) this.#rewrite(this.#path);
      else this.#append(this.#path, line);
    } catch (error) {
      this.#isStale = true;
      this.#failedMs = this.#nowMs();
      this.#log(
        "warning",
        `MCP sessions would not survive a restart: ${this.#path} cannot be written: ${reasonOf(error)}`,
      );
    }
  }

  #append(path: string, line: Record<string, unknown>): void {
    appendFileSync(path, `${JSON.stringify(line)}\n`, { mode: 0o600 });
    this.#lines += 1;
  }

  #rewrite(path: string): void {
    const lines = this.list().map((session) => `${JSON.stringify(openLine(session))}\n`);
    writeFileSync(`${path}.new`, lines.join(""), { mode: 0o600 });
    renameSync(`${path}.new`, path);
    this.#lines = lines.length;
    this.#isStale = false;
  }

  #hasStaleLines(): boolean {
    if (this.#lines <= MAX_STALE_LINES) return false;
    let needed = this.#byId.size;
    for (const { watched } of this.#byId.values()) needed += watched.size;
    return this.#lines > MAX_STALE_LINES + needed;
  }
}

function openLine({ id, owner, connection, callerId, params, ...rest }: KeptSession): Record<string, unknown> {
  const agent = rest.agentKey === undefined ? {} : { agentKey: rest.agentKey };
  return { what: "open", id, owner, connection, callerId, params, watched: [...rest.watched], ...agent };
}

function shortened(params: Record<string, unknown>): Record<string, unknown> {
  // What its history shows of the client is not lost.
  const info = isObject(params["clientInfo"]) ? params["clientInfo"] : {};
  const clientInfo = { name: claimOf(info["name"]) || "unknown", version: claimOf(info["version"]) || "0" };
  return { protocolVersion: params["protocolVersion"], capabilities: {}, clientInfo };
}

function claimOf(text: unknown): string {
  return typeof text === "string" ? clientClaim(text) : "";
}

/** Returns the lines of a journal that are whole; the last one may be cut. */
function linesOf(path: string, log: LogLine): Record<string, unknown>[] {
  try {
    const lines = readFileSync(path, "utf8").split("\n");
    return lines.map(parseObject).filter((line) => line !== undefined);
  } catch (error) {
    if (!existsSync(path)) return [];
    log("warning", `The earlier MCP sessions are lost: ${path} cannot be read: ${reasonOf(error)}`);
    return [];
  }
}
