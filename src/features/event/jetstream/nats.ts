// The connection of a node to NATS: opened when it is first needed, again after every loss, and by another address once
// the settings of the fleet name one. Each call has a deadline; calls of a server that is away fail at once.

import type { Duplex } from "node:stream";
import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { type Authenticator, credsAuthenticator, type NatsConnection } from "@nats-io/nats-core";
import { natsAddress } from "../../../config/shapes.ts";
import { Fault } from "../../../lib/fault.ts";
import { reasonOf } from "../../../lib/reason-of.ts";
import { registerSecret } from "../../../observe/redact.ts";
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
  /** Who signs the certificate of the server, as PEM; left out: who the system trusts. */
  ca?: string;
}

/** What a connection works with. */
export interface NatsOptions {
  /** Returns where NATS is, or throws what is wrong with the settings. */
  place(): NatsPlace;
  open(to: { host: string; port: number; secure: boolean }, signal: AbortSignal): Promise<Duplex>;
  roots(): readonly string[];
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
  /** Rejects once the connection breaks: calls that wait for an answer of it fail at once. */
  #breaks = newBreak();

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
    const place = told(() => this.#options.place());
    const key = JSON.stringify(place);
    if (this.#opened?.key !== key) {
      void this.rest();
      const client = this.#connect(place);
      this.#opened = { key, client };
      client.then(
        ({ connection }) => void this.#watch(client, connection),
        () => this.#forget(client),
      );
    }
    const client = await (this.#opened?.client as Promise<NatsClient>);
    if (this.#away !== undefined) throw away(this.#away);
    return client;
  }

  /** Runs a call. What fails without an answer of the server is Fault `event_log_unavailable`. */
  async call<T>(run: (client: NatsClient) => Promise<T>): Promise<T> {
    const client = await this.client();
    try {
      return await Promise.race([run(client), this.#breaks.promise]);
    } catch (error) {
      if (error instanceof Fault || isAnswer(error)) throw error;
      throw away(reasonOf(error), "unknown");
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.rest();
  }

  /** A connection that ended for good, for instance because its login was refused twice, is opened again by a call. */
  #forget(client: Promise<NatsClient>): void {
    if (this.#opened?.client !== client) return;
    this.#opened = undefined;
    this.#away = undefined;
  }

  /** Ends the connection until the next call: it is not needed now. */
  async rest(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    this.#away = undefined;
    const client = await opened?.client.catch(() => undefined);
    await client?.connection.close().catch(() => {});
  }

  async #connect({ url, login, ca }: NatsPlace): Promise<NatsClient> {
    const { open, roots } = this.#options;
    let connection: NatsConnection | undefined;
    try {
      const { host, port, needsTls } = addressOf(url);
      const options: OpeningOptions = {
        servers: `${host.includes(":") ? `[${host}]` : host}:${port}`,
        name: "cairn",
        timeout: CALL_MS,
        maxReconnectAttempts: -1,
        reconnectTimeWait: AGAIN_MS,
        reconnectJitter: AGAIN_MS,
        pingInterval: 5000,
        maxPingOut: 2,
        // Other servers of a cluster would be connected to by addresses that are in no setting.
        ignoreClusterUpdates: true,
        ...loginOf(login),
        cairn: {
          host,
          needsTls,
          roots: () => (ca === undefined ? roots() : [ca]),
          open: (signal) => open({ host, port, secure: false }, signal),
        },
      };
      connection = await connectBy(options);
      const manager = await jetstreamManager(connection, { timeout: CALL_MS });
      return { connection, manager, stream: jetstream(connection, { timeout: CALL_MS }) };
    } catch (error) {
      // Without JetStream there is nothing to ask; the next call connects again.
      await connection?.close().catch(() => {});
      throw away(reasonOf(error));
    }
  }

  #break(): void {
    this.#away = "the connection to NATS is lost";
    const broken = this.#breaks;
    this.#breaks = newBreak();
    broken.reject(new Error(this.#away));
  }

  async #watch(client: Promise<NatsClient>, connection: NatsConnection): Promise<void> {
    void connection.closed().then(() => this.#forget(client));
    for await (const { type } of connection.status()) {
      if (this.#opened?.client !== client) continue;
      if (type === "disconnect" || type === "staleConnection") this.#break();
      else if (type === "reconnect") this.#away = undefined;
    }
  }
}

function newBreak(): PromiseWithResolvers<never> {
  const made = Promise.withResolvers<never>();
  made.promise.catch(() => {});
  return made;
}

/** Returns where a server is. An address of the settings was judged by its shape. */
export function addressOf(url: string): { host: string; port: number; needsTls: boolean } {
  const address = natsAddress(url);
  if (address === undefined) throw new Error(`${JSON.stringify(url)} is no address of NATS`);
  return address;
}

/** What is wrong with settings of this node keeps the log away, as the server does. */
function told<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    throw away(error.message);
  }
}

function loginOf(login: string | undefined): {
  authenticator?: Authenticator;
  user?: string;
  pass?: string;
  token?: string;
} {
  if (login === undefined) return {};
  if (login.includes("BEGIN NATS USER JWT")) return { authenticator: credsOf(login) };
  const colon = login.indexOf(":");
  registerSecret(login.slice(colon + 1));
  return colon < 1 ? { token: login } : { user: login.slice(0, colon), pass: login.slice(colon + 1) };
}

/** Errors of a file of credentials do not contain it. */
function credsOf(file: string): Authenticator {
  for (const line of file.split("\n")) if (/^[\w.-]{20,}$/.test(line.trim())) registerSecret(line.trim());
  const authenticate = credsAuthenticator(Buffer.from(file));
  return (nonce) => {
    try {
      return authenticate(nonce);
    } catch {
      throw new Error("the file of credentials cannot be read: it needs the JWT of a user and its seed");
    }
  };
}

/** The server has answered: it is there, and said no. */
export function isAnswer(error: unknown): error is { code: number; message: string } {
  return (
    (error as { name?: unknown })?.name?.toString().startsWith("JetStreamApi") === true ||
    (error as { name?: unknown })?.name === "StreamNotFoundError"
  );
}

const AWAY = "The log of events is in NATS JetStream, which cannot be used now";

/** The refusal while NATS is away. `reason` is for operators: who publishes can do nothing about hosts and secrets. */
export function away(reason: string, outcome: "not_done" | "unknown" = "not_done"): Fault {
  return new Fault("event_log_unavailable", AWAY, {
    hint: "Send the same call again in a moment: an event with an id of its own is kept once. Operators see with `cairn events log` what is wrong; nothing else of the fleet is affected.",
    details: { retryAfterSeconds: 2 },
    facts: { outcome },
    cause: reason.trim(),
  });
}

/** Returns what failed, with the reason that is for operators. */
export function operatorReason(error: unknown): string {
  const isAway = error instanceof Fault && error.message === AWAY;
  return isAway ? `NATS JetStream cannot be used now: ${reasonOf(error.cause)}` : reasonOf(error);
}
