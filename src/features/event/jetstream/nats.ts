// The connection of a node to NATS: opened when it is first needed, again after every loss, and by another address once
// the settings of the fleet name one. Each call has a deadline; a server that is away is told as such at once.

import type { Duplex } from "node:stream";
import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { type Authenticator, credsAuthenticator, type NatsConnection, nanos } from "@nats-io/nats-core";
import { Fault } from "../../../lib/fault.ts";
import { reasonOf } from "../../../lib/reason-of.ts";
import { connectBy, type OpeningOptions } from "./transport.ts";

/** How long a call may take, in ms. */
export const CALL_MS = 5000;
const AGAIN_MS = 500;

/** Where NATS is, and how to be let in. */
export interface NatsPlace {
  /** `nats://HOST:PORT`, or `tls://HOST:PORT` where the server must have TLS. */
  url: string;
  /** What the credentials say: a file of NATS credentials, `USER:PASSWORD`, or a token; undefined: none. */
  login: string | undefined;
}

/** What a connection works with. */
export interface NatsOptions {
  /** Returns where NATS is, or throws what is wrong with the settings. */
  place(): NatsPlace;
  open(to: { host: string; port: number; secure: boolean }, signal: AbortSignal): Promise<Duplex>;
  roots(): readonly string[];
  /** Called when the connection was made again. */
  onBack?(): void;
}

/** What a call gets. */
export interface NatsClient {
  connection: NatsConnection;
  stream: JetStreamClient;
  manager: JetStreamManager;
}

/** The connection of one node. */
export class NatsLink {
  readonly #options: NatsOptions;
  #opened: { key: string; client: Promise<NatsClient> } | undefined;
  #away: string | undefined;
  #isClosed = false;

  constructor(options: NatsOptions) {
    this.#options = options;
  }

  /** Whether it is known that NATS cannot be reached now. */
  get isAway(): boolean {
    return this.#away !== undefined;
  }

  /** Returns the client. Rejects with Fault `event_log_unavailable`. */
  async client(): Promise<NatsClient> {
    if (this.#isClosed) throw away("this node is stopping");
    const place = this.#options.place();
    const key = JSON.stringify(place);
    if (this.#opened?.key !== key) {
      void this.#end();
      const client = this.#connect(place);
      this.#opened = { key, client };
      client.catch(() => {
        if (this.#opened?.client === client) this.#opened = undefined;
      });
    }
    const client = await (this.#opened?.client as Promise<NatsClient>);
    if (this.#away !== undefined) throw away(this.#away);
    return client;
  }

  /** Runs a call. What fails without an answer of the server is Fault `event_log_unavailable`. */
  async call<T>(run: (client: NatsClient) => Promise<T>): Promise<T> {
    const client = await this.client();
    try {
      return await run(client);
    } catch (error) {
      if (error instanceof Fault || isAnswer(error)) throw error;
      throw away(reasonOf(error), "unknown");
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#end();
  }

  async #end(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    this.#away = undefined;
    const client = await opened?.client.catch(() => undefined);
    await client?.connection.close().catch(() => {});
  }

  async #connect({ url, login }: NatsPlace): Promise<NatsClient> {
    const { hostname, port } = new URL(url.replace(/^(nats|tls):/, "http:"));
    const host = hostname.replace(/^\[|\]$/g, "");
    const to = { host, port: port === "" ? 4222 : Number(port), secure: false };
    const { open, roots, onBack } = this.#options;
    const options: OpeningOptions = {
      servers: `${hostname}:${to.port}`,
      name: "cairn",
      timeout: CALL_MS,
      maxReconnectAttempts: -1,
      reconnectTimeWait: AGAIN_MS,
      reconnectJitter: AGAIN_MS,
      pingInterval: 5000,
      maxPingOut: 2,
      // Other servers of a cluster would be connected to by addresses that nobody has set.
      ignoreClusterUpdates: true,
      ...loginOf(login),
      cairn: { host, needsTls: url.startsWith("tls:"), roots, open: (signal) => open(to, signal) },
    };
    try {
      const connection = await connectBy(options);
      void this.#watch(connection, onBack);
      const manager = await jetstreamManager(connection, { timeout: CALL_MS });
      return { connection, manager, stream: jetstream(connection, { timeout: CALL_MS }) };
    } catch (error) {
      if (error instanceof Fault) throw error.retold(error.message, { code: "event_log_unavailable" });
      throw away(reasonOf(error));
    }
  }

  async #watch(connection: NatsConnection, onBack: (() => void) | undefined): Promise<void> {
    for await (const { type } of connection.status()) {
      if (type === "disconnect" || type === "staleConnection") this.#away = "the connection to NATS is lost";
      else if (type === "reconnect") {
        this.#away = undefined;
        onBack?.();
      }
    }
  }
}

function loginOf(login: string | undefined): {
  authenticator?: Authenticator;
  user?: string;
  pass?: string;
  token?: string;
} {
  if (login === undefined) return {};
  if (login.includes("BEGIN NATS USER JWT")) return { authenticator: credsAuthenticator(Buffer.from(login)) };
  const colon = login.indexOf(":");
  return colon < 1 ? { token: login } : { user: login.slice(0, colon), pass: login.slice(colon + 1) };
}

/** The server has answered: it is there, and said no. */
export function isAnswer(error: unknown): error is { code: number; message: string } {
  return (
    (error as { name?: unknown })?.name?.toString().startsWith("JetStreamApi") === true ||
    (error as { name?: unknown })?.name === "StreamNotFoundError"
  );
}

/** The refusal while NATS is away. */
export function away(reason: string, outcome: "not_done" | "unknown" = "not_done"): Fault {
  return new Fault(
    "event_log_unavailable",
    `The log of events is in NATS JetStream, which cannot be reached: ${reason}`,
    {
      hint: "Nothing else of the fleet is affected. Try again; an operator looks at NATS and at events.nats_url.",
      details: { retryAfterSeconds: 2 },
      facts: { outcome },
    },
  );
}

/** Nanoseconds as streams have them. */
export const nanosOf = nanos;
