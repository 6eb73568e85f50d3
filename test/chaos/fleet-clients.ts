// Clients of a fleet: a device of the tailnet that sends requests to any node over HTTP, as load.ts needs it, and
// followers of /changes that continue at another node when theirs is gone.

import { Agent } from "../kit/agent.ts";
import type { FleetNode } from "../kit/fleet.ts";
import type { Device } from "./callers.ts";
import { type Feed, type Place, placeOf, type SeenChange, tagOf } from "./history.ts";
import { hashOf, type Said, type Target } from "./load.ts";

/** A node as that device reaches it. */
export function nodeTarget(device: Device, node: FleetNode): Target {
  const agent = new Agent(device, node.base);
  return {
    name: node.name,
    put: ({ key, content, condition, idempotencyKey }, signal) =>
      ask(agent, `/contexts/${key}`, {
        method: "PUT",
        body: content,
        headers: {
          "content-type": "text/plain",
          ...(idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey }),
          ...(condition === undefined
            ? {}
            : condition === "new"
              ? { "if-none-match": "*" }
              : { "if-match": `"${condition}"` }),
        },
        signal,
      }),
    get: ({ key, consistency, shown }, signal) =>
      ask(agent, `/contexts/${key}`, {
        headers: {
          "cairn-consistency": consistency,
          ...(shown === undefined ? {} : { "cairn-min-position": `${shown.epoch}-${shown.seq}` }),
        },
        signal,
      }),
  };
}

async function ask(agent: Agent, path: string, init: Parameters<Agent["http"]>[1]): Promise<Said> {
  let answer: Awaited<ReturnType<Agent["http"]>>;
  try {
    answer = await agent.http(path, init);
  } catch (error) {
    return { outcome: "unknown", code: error instanceof Error ? error.name : String(error) };
  }
  const { status, headers, body, text } = answer;
  const position = placeOf(headers.get("cairn-position"));
  const age = headers.get("age");
  const freshness = {
    ...(age === null ? {} : { ageMs: Number(age) * 1000 }),
    ...(headers.has("cairn-cache") ? { cached: true } : {}),
  };
  const content = init?.method === undefined ? { body: hashOf(text) } : {};
  if (status >= 200 && status < 300)
    return { outcome: "ok", ...tagOf(headers.get("etag")), ...content, position, ...freshness };
  const code = typeof body["code"] === "string" ? body["code"] : `${status} ${text.slice(0, 60)}`;
  if (status === 404 && code === "not_found" && init?.method !== "PUT")
    return { outcome: "ok", version: 0, hash: "", position, ...freshness };
  // An error that is not a node's own response: the request may have arrived before the connection broke.
  if (typeof body["code"] !== "string" || body["outcome"] === "unknown" || code === "internal")
    return { outcome: "unknown", code };
  return { outcome: "fail", code, again: body["retryable"] === true };
}

/** Follows the feed by long polls; `nodes` are asked in turn, the next one when one is gone. */
export class Follower {
  readonly #name: string;
  readonly #device: Device;
  readonly #nodes: () => readonly FleetNode[];
  readonly #prefix: string;
  readonly #changes: SeenChange[] = [];
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;
  readonly #started = Promise.withResolvers<Place>();
  #until: Place | undefined;
  /** Refusals that end it, such as a history that forked. */
  ended: string | undefined;

  constructor(name: string, device: Device, nodes: () => readonly FleetNode[], prefix: string) {
    this.#name = name;
    this.#device = device;
    this.#nodes = nodes;
    this.#prefix = prefix;
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

  /** Stops it, once it has seen up to this seq or the time is over. */
  async stop(seq: number, withinMs = 10_000): Promise<Feed> {
    const deadline = performance.now() + withinMs;
    while ((this.#until?.seq ?? 0) < seq && this.ended === undefined && performance.now() < deadline)
      await Bun.sleep(20);
    this.#ending.abort(new Error("the follower ends"));
    await this.#running;
    const since = await this.#started.promise;
    return { follower: this.#name, since, changes: this.#changes, prefix: this.#prefix, until: this.#until ?? since };
  }

  async #follow(): Promise<void> {
    const { signal } = this.#ending;
    let turn = 0;
    let since: Place | undefined;
    while (!signal.aborted && this.ended === undefined) {
      const nodes = this.#nodes();
      const node = nodes[turn % Math.max(1, nodes.length)];
      const got = node === undefined ? undefined : await this.#poll(node, since, signal);
      if (got === undefined) {
        turn += 1;
        await Bun.sleep(50);
        continue;
      }
      if (since === undefined) this.#started.resolve(got.position);
      since = got.position;
      this.#until = got.position;
      this.#changes.push(...got.changes);
    }
    this.#started.reject(new Error(`${this.#name} never got an answer`));
  }

  async #poll(node: FleetNode, since: Place | undefined, signal: AbortSignal) {
    const query = new URLSearchParams({
      feed: "longpoll",
      prefix: this.#prefix,
      timeout: since === undefined ? "0" : "2",
    });
    if (since !== undefined) query.set("since", `${since.epoch}-${since.seq}`);
    try {
      const agent = new Agent(this.#device, node.base);
      const { status, body } = await agent.http(`/changes?${query}`, {
        signal: AbortSignal.any([signal, AbortSignal.timeout(6000)]),
      });
      if (status === 410) this.ended = String(body["code"]);
      const position = placeOf(String(body["position"]));
      if (status !== 200 || position === undefined) return undefined;
      const changes = body["changes"] as { position: string; target: string; version: number; etag: string }[];
      return {
        position,
        changes: changes.map(({ position: at, target, version, etag }) => {
          const place = placeOf(at);
          if (place === undefined) throw new Error(`a change without a position: ${at}`);
          return { ...place, key: target, version, hash: tagOf(etag).hash };
        }),
      };
    } catch {
      return undefined;
    }
  }
}
