// Followers of the change feed: by long poll, by server-sent events, by the stream of one context and by context_wait
// over MCP. Each continues from its position at another node when its own is gone; streams are also broken off at
// random and resumed with Last-Event-ID. And a subscriber over MCP.

import { readEvents } from "../../src/lib/server-sent-events.ts";
import { Agent } from "../kit/agent.ts";
import type { FleetNode } from "../kit/fleet.ts";
import type { Device } from "./callers.ts";
import { follows } from "./end-rules.ts";
import { type Feed, isWrite, type Place, placeOf, type Row, type SeenChange, tagOf, type Wakes } from "./history.ts";
import { callTool, mcpRequest } from "./mcp-target.ts";
import type { Random } from "./random.ts";

/** How a follower gets changes. */
export const WAYS = ["longpoll", "sse", "context", "wait"] as const;
export type Way = (typeof WAYS)[number];

/** Longest time that a stream stays open before it is broken off, in ms. */
const STREAM_MS = 3_000;
/** How often a subscriber looks whether its node is there. */
const WATCH_MS = 100;
const POLL_SECONDS = 2;
const ANSWER_MS = 6_000;
const MAX_EVENT_CHARS = 1_000_000;
/** What the URI of a context has before its id. */
const SCHEME = "cairn:///";

export interface FollowerOptions {
  name: string;
  way: Way;
  device: Device;
  /** Asked in turn: the next one when one is gone. */
  nodes: () => readonly FleetNode[];
  prefix: string;
  random: Random;
}

/** What arrived at once. */
interface Got {
  position: Place;
  changes: readonly SeenChange[];
}

/** A change as responses and events have it. */
interface Shown {
  position: string;
  target: string;
  version: number;
  etag: string;
}

/** Follows the feed until `stop`. */
export class Follower {
  readonly #options: FollowerOptions;
  readonly #id: string | undefined;
  readonly #changes: SeenChange[] = [];
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;
  readonly #started = Promise.withResolvers<Place>();
  #until: Place | undefined;
  /** Refusals that end it, such as a history that forked. */
  ended: string | undefined;

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#id = options.way === "context" ? `${options.prefix}k0` : undefined;
    this.#started.promise.catch(() => {});
    this.#running = this.#follow();
  }

  /** Resolves when its start position is known. */
  async started(): Promise<void> {
    await this.#started.promise;
  }

  get position(): Place | undefined {
    return this.#until;
  }

  /** Stops it, once it has seen the newest of these changes that it follows or the time is over. */
  async stop(changes: readonly SeenChange[], withinMs = 15_000): Promise<Feed> {
    const { name: follower, prefix } = this.#options;
    const deadline = performance.now() + withinMs;
    const wanted = changes.findLast(({ key }) => follows({ id: this.#id, prefix }, key));
    const seq = wanted?.seq ?? 0;
    while ((this.#until?.seq ?? 0) < seq && this.ended === undefined && performance.now() < deadline)
      await Bun.sleep(20);
    this.#ending.abort(new Error("the follower ends"));
    await this.#running;
    const since = await this.#started.promise;
    const reached = this.#until ?? since;
    // What it did not see in that time is missing.
    const until = wanted !== undefined && reached.seq < seq ? { epoch: wanted.epoch, seq } : reached;
    return { follower, since, changes: this.#changes, prefix, id: this.#id, until };
  }

  async #follow(): Promise<void> {
    const { signal } = this.#ending;
    const { way, nodes, device } = this.#options;
    for (let turn = 0; !signal.aborted && this.ended === undefined; ) {
      const among = nodes();
      const node = among[turn % Math.max(1, among.length)];
      const agent = node === undefined ? undefined : new Agent(device, node.base);
      const run = way === "longpoll" || way === "wait" ? this.#poll : this.#stream;
      const isGone = agent === undefined || !(await run.call(this, agent, way).catch(() => false));
      if (!isGone) continue;
      turn += 1;
      await Bun.sleep(50);
    }
    this.#started.reject(new Error(`${this.#options.name} never got an answer`));
  }

  #take({ position, changes }: Got): void {
    if (this.#until === undefined) this.#started.resolve(position);
    this.#until = position;
    this.#changes.push(...changes);
  }

  /** Asks once. Returns false where another node has to be asked. */
  async #poll(agent: Agent, way: Way): Promise<boolean> {
    const { prefix } = this.#options;
    const signal = AbortSignal.any([this.#ending.signal, AbortSignal.timeout(ANSWER_MS)]);
    const timeout = this.#until === undefined ? 0 : POLL_SECONDS;
    const since = this.#until === undefined ? {} : { since: `${this.#until.epoch}-${this.#until.seq}` };
    let body: Record<string, unknown>;
    if (way === "wait") {
      const tool = { name: "context_wait", input: { prefix, timeout_seconds: timeout, ...since } };
      const { output, isFault } = await callTool(agent, tool, signal);
      if (output === undefined || isFault === true) return this.#refused(output ?? {});
      body = output;
    } else {
      const query = new URLSearchParams({ feed: "longpoll", prefix, timeout: String(timeout), ...since });
      const answer = await agent.http(`/changes?${query}`, { signal });
      if (answer.status !== 200) return this.#refused(answer.body);
      body = answer.body;
    }
    const position = placeOf(String(body["position"]));
    if (position === undefined) return false;
    this.#take({ position, changes: (body["changes"] as Shown[]).map(changeOf) });
    return true;
  }

  /** Reads a stream until it ends or is broken off. Returns false where another node has to be asked. */
  async #stream(agent: Agent): Promise<boolean> {
    const { prefix, random } = this.#options;
    const breaking = AbortSignal.timeout(random.between(200, STREAM_MS));
    const signal = AbortSignal.any([this.#ending.signal, breaking]);
    const last: Record<string, string> =
      this.#until === undefined ? {} : { "last-event-id": `${this.#until.epoch}-${this.#until.seq}` };
    const path =
      this.#id === undefined
        ? `/changes?${new URLSearchParams({ feed: "sse", prefix })}`
        : `/contexts/${this.#id}/stream`;
    try {
      const response = await agent.fetch(path, { signal, headers: { accept: "text/event-stream", ...last } });
      if (response.status !== 200 || response.body === null)
        return this.#refused((await response.json()) as Record<string, unknown>);
      for await (const { event, data, id } of readEvents(response.body, MAX_EVENT_CHARS)) {
        const position = placeOf(id);
        if (event === "end") return false;
        if (position === undefined) continue;
        this.#take({ position, changes: event === "change" ? [changeAt(JSON.parse(data) as Shown, id)] : [] });
      }
    } catch {
      // Broken off, by this side or by the other.
    }
    // Broken off by this side, it continues at the same node as often as at another.
    return breaking.aborted && random.chance(0.5);
  }

  #refused(body: Record<string, unknown>): false {
    const code = String(body["code"]);
    if (code === "history_forked" || code === "below_floor") this.ended = code;
    return false;
  }
}

function changeOf({ position, target, version, etag }: Shown): SeenChange {
  const place = placeOf(position);
  if (place === undefined) throw new Error(`a change without a position: ${position}`);
  return { ...place, key: target, version, hash: tagOf(etag).hash };
}

/** The id of an event, from which a client resumes, is the position of its change. */
function changeAt(shown: Shown, id: string | undefined): SeenChange {
  return changeOf({ ...shown, position: id ?? "" });
}

/** Subscribes to contexts over MCP, at another node when its own is gone. */
export class Subscriber {
  readonly #device: Device;
  readonly #nodes: () => readonly FleetNode[];
  readonly #keys: readonly string[];
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;
  readonly #started = Promise.withResolvers<void>();
  #sinceMs = Number.POSITIVE_INFINITY;
  #wakes: { key: string; atMs: number }[] = [];

  constructor(device: Device, nodes: () => readonly FleetNode[], keys: readonly string[]) {
    this.#device = device;
    this.#nodes = nodes;
    this.#keys = keys;
    this.#running = this.#follow();
  }

  /** Resolves when it is subscribed for the first time. */
  started(): Promise<void> {
    return this.#started.promise;
  }

  /**
   * Stops it, once it was notified of the last of these writes of each context or the time is over. Returns what the
   * last subscription received: what changed before that one a client has to read for itself.
   */
  async stop(rows: readonly Row[], withinMs = 10_000): Promise<Wakes | undefined> {
    const deadline = performance.now() + withinMs;
    const wanted = this.#keys.map((key) => ({ key, row: lastWrite(rows, key, this.#sinceMs) }));
    const isWoken = () =>
      wanted.every(
        ({ key, row }) =>
          row === undefined || this.#wakes.some((wake) => wake.key === key && wake.atMs >= row.invokeMs),
      );
    while (!isWoken() && performance.now() < deadline) await Bun.sleep(20);
    const untilMs = performance.now();
    const [sinceMs, wakes] = [this.#sinceMs, this.#wakes];
    this.#ending.abort(new Error("the subscriber ends"));
    await this.#running;
    return Number.isFinite(sinceMs)
      ? { follower: "a subscriber", keys: this.#keys, sinceMs, untilMs, wakes }
      : undefined;
  }

  async #follow(): Promise<void> {
    for (let turn = 0; !this.#ending.signal.aborted; turn++) {
      const among = this.#nodes();
      const node = among[turn % Math.max(1, among.length)];
      if (node !== undefined) await this.#listen(node).catch(() => {});
      if (!this.#ending.signal.aborted) this.#sinceMs = Number.POSITIVE_INFINITY;
      await Bun.sleep(50);
    }
  }

  /** Ends with its node's process: a connection to one that was killed or paused does not end by itself. */
  async #listen(node: FleetNode): Promise<void> {
    const agent = new Agent(this.#device, node.base);
    const { process } = node;
    const gone = new AbortController();
    const watch = setInterval(() => {
      if (!node.isUp || node.process !== process) gone.abort(new Error("the node is gone"));
    }, WATCH_MS);
    try {
      await this.#read(agent, AbortSignal.any([this.#ending.signal, gone.signal]));
    } finally {
      clearInterval(watch);
    }
  }

  async #read(agent: Agent, signal: AbortSignal): Promise<void> {
    const uris = this.#keys.map((key) => `${SCHEME}${key}`);
    const request = mcpRequest("subscriptions/listen", { notifications: { resourceSubscriptions: uris } });
    const response = await agent.fetch("/mcp", { ...request, signal });
    if (response.status !== 200 || response.body === null) return;
    for await (const { data } of readEvents(response.body, MAX_EVENT_CHARS)) {
      const { method, params } = JSON.parse(data || "{}") as { method?: string; params?: { uri?: string } };
      if (method === "notifications/subscriptions/acknowledged") {
        this.#sinceMs = performance.now();
        this.#wakes = [];
        this.#started.resolve();
      } else if (method === "notifications/resources/updated")
        this.#wakes.push({ key: String(params?.uri).slice(SCHEME.length), atMs: performance.now() });
    }
  }
}

function lastWrite(rows: readonly Row[], key: string, sinceMs: number): Row | undefined {
  return rows.findLast((row) => row.key === key && isWrite(row) && row.outcome === "ok" && row.invokeMs > sinceMs);
}
