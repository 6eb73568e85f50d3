// Bytes between the client of NATS and a server, over a connection of the node's checked way out. The client has one
// factory of transports for the whole process, so how to open one travels in the options of its connection.

import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls, type TLSSocket } from "node:tls";
import type { ConnectionOptions } from "@nats-io/nats-core";
import {
  checkOptions,
  DataBuffer,
  deferred,
  extractProtocolMessage,
  INFO,
  type NatsConnection,
  NatsConnectionImpl,
  type Server,
  type ServerInfo,
  setTransportFactory,
  type Transport,
} from "@nats-io/nats-core/internal";
import { parseObject } from "../../../lib/json-object.ts";
import { reasonOf } from "../../../lib/reason-of.ts";

/** The first line of a server has less. */
const MAX_INFO_BYTES = 64 * 1024;

/** How a connection is opened, in the options of one. */
interface Opening {
  open(signal: AbortSignal): Promise<Duplex>;
  /** Authorities for TLS. */
  roots(): readonly string[];
  /** The server must have TLS; otherwise it is used where the server has it. */
  needsTls: boolean;
  host: string;
}

/** Options of a connection with how it is opened. */
export type OpeningOptions = ConnectionOptions & { cairn: Opening };

/** Connects. Rejects with what the client or the way out says. */
export function connectBy(options: OpeningOptions): Promise<NatsConnection> {
  setTransportFactory({ factory: () => new DuplexTransport() });
  return NatsConnectionImpl.connect(options) as Promise<NatsConnection>;
}

/** One connection. */
class DuplexTransport implements Transport {
  readonly lang = "cairn";
  readonly version = "1";
  closeError?: Error;
  #socket: Duplex | undefined;
  #isEncrypted = false;
  #isConnected = false;
  #isClosed = false;
  #came: Uint8Array[] = [];
  #news = Promise.withResolvers<void>();
  readonly #closed = deferred<undefined | Error>();

  get isClosed(): boolean {
    return this.#isClosed;
  }

  async connect(_server: Server, options: ConnectionOptions): Promise<void> {
    const { open, roots, needsTls, host } = (options as OpeningOptions).cairn;
    const signal = AbortSignal.timeout(options.timeout ?? 5000);
    const socket = await open(signal);
    this.#socket = socket;
    try {
      if (this.#isClosed) throw new Error("the connection was given up");
      const info = await this.#info(socket, signal);
      checkOptions(info, options);
      if (needsTls || info.tls_required === true || info.tls_available === true)
        this.#socket = await encrypted(socket, host, roots(), signal);
      this.#isEncrypted = this.#socket !== socket;
    } catch (error) {
      socket.destroy();
      throw error;
    }
    this.#isConnected = true;
    this.#listen(this.#socket);
    this.#news.resolve();
  }

  /** The first line of a server; it stays for the client to read. */
  async #info(socket: Duplex, signal: AbortSignal): Promise<ServerInfo> {
    const found = Promise.withResolvers<ServerInfo>();
    const fail = (error?: Error) => found.reject(error ?? new Error("the server closed the connection"));
    const abort = () => fail(new Error("the server did not say anything in time"));
    const take = (part: Buffer) => {
      this.#came.push(part);
      const came = DataBuffer.concat(...this.#came);
      const line = extractProtocolMessage(came);
      if (line === "" && came.length <= MAX_INFO_BYTES) return;
      const said = parsed(INFO.exec(line)?.[1]);
      if (said === undefined) fail(new Error("what answers is no server of NATS"));
      else found.resolve(said);
    };
    socket.on("data", take).on("error", fail).on("close", fail);
    signal.addEventListener("abort", abort, { once: true });
    try {
      return await found.promise;
    } finally {
      signal.removeEventListener("abort", abort);
      socket.off("data", take).off("error", fail).off("close", fail);
    }
  }

  #listen(socket: Duplex): void {
    let failed: Error | undefined;
    socket.on("data", (part: Buffer) => {
      this.#came.push(part);
      this.#news.resolve();
    });
    socket.on("error", (error) => {
      failed = error;
    });
    socket.on("close", () => this.#end(failed));
    socket.on("end", () => socket.destroy());
  }

  async *[Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array> {
    try {
      for (;;) {
        await this.#news.promise;
        const came = this.#came;
        this.#came = [];
        if (!this.#isClosed) this.#news = Promise.withResolvers<void>();
        for (const part of came) yield part;
        if (this.#isClosed) return;
      }
    } finally {
      // The client stops reading where it does not understand: it connects again.
      this.#end(new Error("what came is not the protocol of NATS"));
    }
  }

  isEncrypted(): boolean {
    return this.#isEncrypted;
  }

  send(frame: Uint8Array): void {
    if (!this.#isClosed) this.#socket?.write(frame);
  }

  async close(error?: Error): Promise<void> {
    this.#end(error);
  }

  disconnect(): void {
    this.#end(undefined);
  }

  closed(): Promise<undefined | Error> {
    return this.#closed;
  }

  discard(): void {
    this.#isClosed = true;
    this.#destroy();
    this.#news.resolve();
  }

  #end(error: Error | undefined): void {
    if (!this.#isConnected || this.#isClosed) {
      this.#destroy();
      return;
    }
    this.#isClosed = true;
    if (error !== undefined) this.closeError = error;
    this.#destroy();
    this.#news.resolve();
    this.#closed.resolve(error);
  }

  #destroy(): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    socket.removeAllListeners("data").removeAllListeners("close");
    // No one waits for what fails from now on.
    socket.on("error", () => {});
    socket.destroy();
  }
}

/** Returns what a server says of itself; undefined: nothing that is known. */
function parsed(text = ""): ServerInfo | undefined {
  const said = parseObject(text);
  return typeof said?.["max_payload"] === "number" ? (said as unknown as ServerInfo) : undefined;
}

/** TLS begins where the server has said its first line, as its protocol has it. */
async function encrypted(socket: Duplex, host: string, roots: readonly string[], signal: AbortSignal): Promise<Duplex> {
  const done = Promise.withResolvers<void>();
  const fail = (error: Error) => done.reject(error);
  const abort = () => done.reject(new Error("it did not begin in time"));
  signal.addEventListener("abort", abort, { once: true });
  let tls: TLSSocket | undefined;
  try {
    // An address is no name for SNI; the certificate is compared with it all the same.
    const name = isIP(host) === 0 ? { servername: host } : {};
    const options = { socket, host, ...name, ca: [...roots], minVersion: "TLSv1.2" as const };
    tls = connectTls(options, () => done.resolve());
    tls.on("error", fail);
    await done.promise;
    return tls;
  } catch (error) {
    tls?.destroy();
    throw new Error(`TLS with ${host} failed: ${reasonOf(error)}`);
  } finally {
    signal.removeEventListener("abort", abort);
    tls?.off("error", fail);
  }
}
