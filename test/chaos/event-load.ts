// Publishers of events through any node, a subscription of them, and a receiver that sometimes fails: what was
// acknowledged, what the logs have and what arrived is recorded for event-rules.ts.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { Agent, type Answer } from "../kit/agent.ts";
import { eventually } from "../kit/eventually.ts";
import type { FleetNode } from "../kit/fleet.ts";
import type { Device } from "./callers.ts";
import type { Arrival, EventRun, LoggedEvent, Published } from "./history.ts";
import type { Random } from "./random.ts";

export interface EventLoadOptions {
  device: Device;
  /** Nodes that may be asked now. */
  nodes: () => readonly FleetNode[];
  leader: () => Promise<FleetNode>;
  random: Random;
  space: string;
}

const PUBLISHERS = 4;
/** How long a publisher waits for an answer before it asks another node with the same id. */
const ANSWER_MS = 1_500;
/** The rules of the subscription leave out each fifth event of a publisher. */
const LEFT_OUT = 5;
/** Until everything has arrived, once nothing fails any more: the longest wait between attempts is 30 s. */
const ARRIVE_MS = 60_000;
const PAGE = 1000;
/** Of the events of publishers: what Cairn does is among those of the space. */
const TYPE = "chaos.made";
/** Until a node takes an event. */
const TAKEN_MS = 60_000;
const isWanted = (n: number) => n % LEFT_OUT !== 0;

/** What the receiver does with a share of its requests. */
const FAULTS = { refused: 0.03, cutBefore: 0.02, cutAfter: 0.02, slow: 0.02 };
const SLOW_MS = 300;

/** The publishers, the subscription and the receiver of one run. */
export class EventLoad {
  readonly published: Published[] = [];
  readonly arrivals: Arrival[] = [];
  /** While it is set, the receiver refuses everything. */
  isDown = false;
  readonly #options: EventLoadOptions;
  readonly #faults: Random;
  readonly #stop = new AbortController();
  readonly #server: Server;
  #failsNever = false;
  #publishers: Promise<void>[] = [];

  constructor(options: EventLoadOptions) {
    this.#options = options;
    this.#faults = options.random.fork();
    this.#server = createServer((request, response) => void this.#take(request, response));
  }

  /** Declares target and subscription, and begins to publish. */
  async start(): Promise<void> {
    const { space, random } = this.#options;
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    const address = this.#server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const target = { kind: "http", url: `http://127.0.0.1:${port}/`, timeout_seconds: 5 };
    await this.#declared("event_target_set", { name: space, target, policy: "peer", spaces: [space] });
    const match = { cel: "event.data.wanted" };
    await this.#done("subscription_create", { id: this.#subscription, target: space, rules: [{ id: "most", match }] });
    this.#publishers = Array.from({ length: PUBLISHERS }, (_, at) => this.#publish(`p${at}`, random.fork()));
  }

  get #subscription(): string {
    return `${this.#options.space}/all`;
  }

  /**
   * Stops when each publisher's last event was taken and all have arrived, within a time, and removes the subscription.
   */
  async stop(withinMs = ARRIVE_MS): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#publishers);
    this.isDown = false;
    this.#failsNever = true;
    const lacking = () => {
      const there = new Set(this.arrivals.map(({ id }) => id));
      return this.published.filter(({ id, n }) => isWanted(n) && !there.has(id));
    };
    // What does not come is a finding of the rules.
    await eventually("all events to arrive", () => lacking().length === 0, { withinMs }).catch(() => {});
    await this.#done("subscription_end", { id: this.#subscription });
    await this.#declared("event_target_remove", { name: this.#options.space });
    this.#server.close();
    this.#server.closeAllConnections();
  }

  /** Returns how far it is, for the message of a wait that ends in vain. */
  async seen(): Promise<string> {
    const node = await this.#options.leader();
    const { text } = await this.#on(node, "subscription_get", { id: this.#subscription }, 5_000);
    return `${this.published.length} published, ${this.arrivals.length} arrived: ${text}`;
  }

  /** Returns what was recorded, once all nodes have applied everything. */
  async end(full: readonly FleetNode[]): Promise<EventRun> {
    const logs = new Map<string, readonly LoggedEvent[]>();
    for (const node of full) logs.set(node.name, await this.#logOf(node));
    return { published: this.published, logs, arrivals: this.arrivals, isWanted };
  }

  #draws(fault: keyof typeof FAULTS): boolean {
    return this.#faults.chance(FAULTS[fault]) && !this.#failsNever;
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    if (this.isDown || this.#draws("refused")) return void response.writeHead(503).end();
    if (this.#draws("cutBefore")) return void request.socket.destroy();
    const body = JSON.parse(Buffer.concat(parts).toString("utf8")) as { id: string };
    if (this.#draws("slow")) await Bun.sleep(SLOW_MS);
    const isCut = this.#draws("cutAfter");
    this.arrivals.push({ id: body.id, atMs: performance.now(), wasTold: !isCut });
    if (isCut) request.socket.destroy();
    else response.end("taken");
  }

  async #publish(publisher: string, random: Random): Promise<void> {
    for (let n = 1; !this.#stop.signal.aborted; n += 1) {
      await this.#publishOne({ id: `${publisher}-${n}`, publisher, n }, random);
      await Bun.sleep(random.between(5, 60));
    }
  }

  /** Sends one event until a node takes it: the id makes a repeat the same event. */
  async #publishOne(event: Pick<Published, "id" | "publisher" | "n">, random: Random): Promise<void> {
    const { space } = this.#options;
    const input = {
      space,
      type: TYPE,
      source: `${space}/${event.publisher}`,
      id: event.id,
      data: { n: event.n, wanted: isWanted(event.n) },
    };
    const untilMs = performance.now() + TAKEN_MS;
    for (;;) {
      const answer = await this.#askOnce("event_publish", input, random);
      if (answer?.status === 200) {
        const { cursor } = answer.body as { cursor: string };
        this.published.push({ ...event, cursor });
        return;
      }
      if (answer !== undefined && answer.status < 500 && answer.status !== 429)
        throw new Error(`the event ${event.id} was refused: ${answer.text}`);
      if (performance.now() > untilMs) throw new Error(`no node took the event ${event.id} within ${TAKEN_MS} ms`);
      await Bun.sleep(random.between(20, 100));
    }
  }

  async #logOf(node: FleetNode): Promise<LoggedEvent[]> {
    const found: LoggedEvent[] = [];
    for (let after = { after: "2000-01-01T00:00:00Z" } as object; ; ) {
      const input = { space: this.#options.space, types: [TYPE], limit: PAGE, ...after };
      const answer = await this.#on(node, "event_list", input, 10_000);
      if (answer.status !== 200) throw new Error(`event_list of ${node.name}: ${answer.text}`);
      const page = answer.body as unknown as Page;
      found.push(...page.events.map(({ id, data, cairnposition: cursor }) => ({ id, n: data.n, cursor })));
      if (!page.more) return found;
      after = { since: page.cursor };
    }
  }

  /** Has an operation of the device done, at any node. */
  async #done(operation: string, input: object): Promise<void> {
    await this.#until200(operation, () => this.#askOnce(operation, input, this.#options.random));
  }

  /** Has an operation done that needs an admin: the user of the leader's machine. */
  async #declared(operation: string, input: object): Promise<void> {
    await this.#until200(operation, async () => {
      const leader = await this.#options.leader();
      return leader.call(operation, input, ANSWER_MS).catch(() => undefined);
    });
  }

  async #until200(operation: string, asked: () => Promise<Answer | undefined>): Promise<void> {
    const look = async () => {
      const answer = await asked();
      if (answer !== undefined && answer.status >= 400 && answer.status < 500) throw new Error(answer.text);
      return answer?.status === 200;
    };
    await eventually(`${operation} to be done`, look, { withinMs: 30_000 });
  }

  async #askOnce(operation: string, input: object, random: Random): Promise<Answer | undefined> {
    const nodes = this.#options.nodes();
    return nodes.length === 0 ? undefined : this.#on(random.pick(nodes), operation, input).catch(() => undefined);
  }

  #on(node: FleetNode, operation: string, input: object, withinMs = ANSWER_MS): Promise<Answer> {
    return new Agent(this.#options.device, node.base).http(`/operations/${operation}`, {
      method: "POST",
      body: JSON.stringify(input),
      headers: { "content-type": "application/json" },
      signal: AbortSignal.timeout(withinMs),
    });
  }
}

interface Page {
  events: { id: string; data: { n: number }; cairnposition: string }[];
  cursor: string;
  more: boolean;
}
