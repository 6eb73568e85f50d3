// A gRPC client over the tailnet: HTTP/2 of the runtime, framing and the few protobuf fields that tests need by hand,
// so that it shares no code with the server.

import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { type Agent, openRaw } from "./agent.ts";
import { within } from "./eventually.ts";

/** Fields of a message by number: text, numbers, and maps of texts. */
export type Fields = Readonly<Record<number, string | number | boolean | Readonly<Record<string, string>>>>;

/** What a message was read as: the last value of each field, and all entries of maps. */
export interface Message {
  text(field: number): string;
  number(field: number): number;
  entries(field: number): Record<string, string>;
}

/** How a call ended. */
export interface Status {
  code: number;
  message: string;
  metadata: Record<string, unknown>;
}

/** One HTTP/2 connection of a device to a node. */
export class GrpcClient implements Disposable {
  readonly #session: ClientHttp2Session;

  private constructor(session: ClientHttp2Session) {
    this.#session = session;
  }

  static async open(agent: Agent): Promise<GrpcClient> {
    const socket = await openRaw(agent.proxy, `${new URL(agent.base).hostname}:80`);
    const session = connect(agent.base, { createConnection: () => socket });
    session.on("error", () => {});
    return new GrpcClient(session);
  }

  /** Starts a call, such as `mcp.v1.MCPService/EventStream`. */
  start(method: string, metadata: Record<string, string> = {}): GrpcCall {
    const head = {
      ":method": "POST",
      ":path": `/${method}`,
      ...{ "content-type": "application/grpc", te: "trailers", ...metadata },
    };
    return new GrpcCall(this.#session.request(head));
  }

  /** Runs a call of one request, and returns its responses and its status. */
  async call(
    method: string,
    request: Fields,
    metadata: Record<string, string> = {},
  ): Promise<{ messages: Message[]; status: Status }> {
    const call = this.start(method, metadata);
    call.send(request);
    call.end();
    const messages: Message[] = [];
    for (;;) {
      const message = await call.receive();
      if (message === undefined) return { messages, status: await call.status };
      messages.push(message);
    }
  }

  [Symbol.dispose](): void {
    this.#session.destroy();
  }
}

/** One call. */
export class GrpcCall {
  /** Resolves when the call has ended; with the code -1 where it was cut without a status. */
  readonly status: Promise<Status>;
  readonly #stream: ClientHttp2Stream;
  readonly #messages: Message[] = [];
  #bytes = Buffer.alloc(0);
  #wake = Promise.withResolvers<void>();
  #ended = false;

  constructor(stream: ClientHttp2Stream) {
    this.#stream = stream;
    const status = Promise.withResolvers<Status>();
    this.status = status.promise;
    let found: Status | undefined;
    const look = (headers: Record<string, unknown>) => {
      if (headers["grpc-status"] === undefined) return;
      const message = decodeURIComponent(String(headers["grpc-message"] ?? ""));
      found = { code: Number(headers["grpc-status"]), message, metadata: headers };
    };
    stream.on("response", look);
    stream.on("trailers", look);
    stream.on("data", (chunk: Buffer) => this.#take(chunk));
    stream.on("error", () => {});
    stream.on("close", () => {
      this.#ended = true;
      status.resolve(found ?? { code: -1, message: "cut", metadata: {} });
      this.#wake.resolve();
    });
  }

  send(fields: Fields): void {
    const body = encode(fields);
    const head = Buffer.alloc(5);
    head.writeUInt32BE(body.length, 1);
    this.#stream.write(Buffer.concat([head, body]));
  }

  /** Ends the side of the client. */
  end(): void {
    this.#stream.end();
  }

  cancel(): void {
    this.#stream.close(8);
  }

  /** Returns the next message, or undefined at the end. */
  async receive(): Promise<Message | undefined> {
    while (this.#messages.length === 0 && !this.#ended) {
      await within("a message of the call", this.#wake.promise);
      this.#wake = Promise.withResolvers();
    }
    return this.#messages.shift();
  }

  #take(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    while (this.#bytes.length >= 5) {
      const end = 5 + this.#bytes.readUInt32BE(1);
      if (this.#bytes.length < end) break;
      this.#messages.push(decode(this.#bytes.subarray(5, end)));
      this.#bytes = this.#bytes.subarray(end);
    }
    this.#wake.resolve();
  }
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let left = value; ; left = Math.floor(left / 128)) {
    if (left < 128) return [...bytes, left];
    bytes.push((left % 128) + 128);
  }
}

function delimited(field: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([...varint(field * 8 + 2), ...varint(bytes.length)]), bytes]);
}

/** Encodes a message. */
function encode(fields: Fields): Buffer {
  const parts = Object.entries(fields).map(([name, value]) => {
    const field = Number(name);
    if (typeof value === "string") return delimited(field, Buffer.from(value));
    if (typeof value === "object")
      return Buffer.concat(Object.entries(value).map(([key, entry]) => delimited(field, encode({ 1: key, 2: entry }))));
    return Buffer.from([...varint(field * 8), ...varint(Number(value))]);
  });
  return Buffer.concat(parts);
}

/** Reads a message. */
function decode(bytes: Buffer): Message {
  const found = new Map<number, (Buffer | number)[]>();
  let at = 0;
  const next = (): number => {
    for (let value = 0, scale = 1; ; scale *= 128) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  const slice = (length: number): Buffer => {
    at += length;
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const tag = next();
    const value = tag % 8 === 2 ? slice(next()) : next();
    const field = Math.floor(tag / 8);
    found.set(field, [...(found.get(field) ?? []), value]);
  }
  const text = (field: number) => String(found.get(field)?.at(-1) ?? "");
  return {
    text,
    number: (field) => Number(found.get(field)?.at(-1) ?? 0),
    entries: (field) =>
      Object.fromEntries(
        (found.get(field) ?? []).map((entry) => [decode(entry as Buffer).text(1), decode(entry as Buffer).text(2)]),
      ),
  };
}
