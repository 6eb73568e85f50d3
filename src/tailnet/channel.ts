// The channel to the Go half: JSON lines in both directions (native/PROTOCOL.md) with ids, deadlines and bounds;
// everything received is parsed. The engines (native.ts, sidecar.ts) carry the bytes; go-half.ts gives methods and
// events their meaning.

import { Fault, type FaultCode } from "../lib/fault.ts";
import { reasonOf } from "../lib/reason-of.ts";
import { LineSplitter } from "./lines.ts";
import {
  type ChannelEvent,
  type EventName,
  events,
  MAX_LINE_BYTES,
  type Method,
  type ReplyError,
  type Result,
  reply,
  results,
} from "./protocol.ts";
import type { TailnetLog } from "./tailnet.ts";

/** Carries bytes to the Go half. `write` queues or sends all of them; `end` may be called twice. */
export interface Wire {
  write(bytes: Uint8Array): void;
  end(): void;
}

export interface ChannelOptions {
  log: TailnetLog;
  onEvent: (event: ChannelEvent) => void;
  /** The stream ended, and not by a call of `end`. Called once, after all waiting requests were rejected. */
  onLost: (reason: string) => void;
}

interface Waiting {
  method: Method;
  resolve: (result: unknown) => void;
  reject: (error: Fault) => void;
  timer: ReturnType<typeof setTimeout>;
}

/** How many unread bytes an engine may hold for the Go half before it gives the channel up. */
export const MAX_QUEUED_BYTES = 16 * 1024 * 1024;

/** How many requests may wait at once. */
const MAX_WAITING = 1024;

const FAULT_OF: Record<ReplyError["code"], FaultCode> = {
  bad_request: "internal",
  unknown_method: "internal",
  not_up: "unavailable",
  already_up: "tailnet_failed",
  auth_key: "auth_key",
  not_found: "not_found",
  dial_refused: "forbidden",
  not_leader: "unavailable",
  changed: "version_mismatch",
  timeout: "unavailable",
  internal: "tailnet_failed",
};

export class Channel {
  readonly #options: ChannelOptions;
  readonly #lines = new LineSplitter(MAX_LINE_BYTES);
  readonly #waiting = new Map<number, Waiting>();
  #wire: Wire | undefined;
  #lastId = 0;
  #ended: string | undefined;

  constructor(options: ChannelOptions) {
    this.#options = options;
  }

  /** Attaches what carries the bytes. It may have called `receive` and `lost` before. */
  attach(wire: Wire): void {
    this.#wire = wire;
    if (this.#ended !== undefined) wire.end();
  }

  /**
   * Sends a request. Resolves with its parsed result; rejects with a Fault whose `details.tailnetCode` is the
   * protocol's error code.
   */
  request<M extends Method>(method: M, params: object, timeoutMs: number): Promise<Result<M>> {
    if (this.#ended !== undefined) return Promise.reject(gone(method, this.#ended));
    if (this.#waiting.size >= MAX_WAITING) {
      const message = `tailnet call "${method}" refused: ${MAX_WAITING} calls are waiting`;
      return Promise.reject(new Fault("unavailable", message, { hint: "Try again in a second." }));
    }
    const id = ++this.#lastId;
    const line = Buffer.from(`${JSON.stringify({ id, method, params })}\n`);
    if (line.length - 1 > MAX_LINE_BYTES) {
      const message = `tailnet call "${method}" has ${line.length} bytes, ${MAX_LINE_BYTES} are allowed`;
      return Promise.reject(new Fault("too_large", message));
    }
    return new Promise<Result<M>>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        const message = `tailnet call "${method}" had no answer within ${timeoutMs} ms`;
        reject(new Fault("unavailable", message, { hint: "See the log for what the tailnet library reports." }));
      }, timeoutMs);
      this.#waiting.set(id, { method, resolve: (value) => resolve(value as Result<M>), reject, timer });
      this.#wire?.write(line);
    });
  }

  /** Takes bytes from the Go half, in chunks of any size. */
  receive(chunk: Uint8Array): void {
    if (this.#ended !== undefined) return;
    let lines: Uint8Array[];
    try {
      lines = this.#lines.push(chunk);
    } catch (error) {
      this.lost(`the tailnet channel broke: ${reasonOf(error)}`);
      return;
    }
    for (const line of lines) this.#take(line);
  }

  /**
   * The stream ended or broke: rejects all waiting requests, then calls `onLost`. Only the first call has an effect.
   */
  lost(reason: string): void {
    if (this.#finish(reason)) this.#options.onLost(reason);
  }

  /** Ends the channel from this side, without a call of `onLost`. */
  end(): void {
    this.#finish("the tailnet was closed");
  }

  #finish(reason: string): boolean {
    if (this.#ended !== undefined) return false;
    this.#ended = reason;
    for (const waiting of this.#waiting.values()) {
      clearTimeout(waiting.timer);
      waiting.reject(gone(waiting.method, reason));
    }
    this.#waiting.clear();
    this.#wire?.end();
    return true;
  }

  #take(line: Uint8Array): void {
    let value: unknown;
    try {
      value = JSON.parse(decoder.decode(line));
    } catch {
      this.#options.log(
        "warning",
        `the tailnet channel carried a line of ${line.length} bytes that is not JSON; ignored`,
      );
      return;
    }
    if (typeof value === "object" && value !== null && "event" in value) this.#takeEvent(value.event, value);
    else this.#takeReply(value);
  }

  #takeEvent(name: unknown, value: object): void {
    if (typeof name !== "string" || !isEventName(name)) {
      this.#options.log("debug", `unknown tailnet event ${JSON.stringify(name)?.slice(0, 80)}; ignored`);
      return;
    }
    const parsed = events[name].safeParse(value);
    // The schema was chosen by name, which the type system cannot follow through an indexed table.
    if (parsed.success) this.#options.onEvent({ event: name, body: parsed.data } as ChannelEvent);
    else
      this.#options.log("warning", `tailnet event "${name}" has an unexpected shape; ignored: ${issues(parsed.error)}`);
  }

  #takeReply(value: unknown): void {
    const parsed = reply.safeParse(value);
    if (!parsed.success) {
      this.#options.log("warning", "the tailnet channel carried neither a reply nor an event; ignored");
      return;
    }
    const waiting = this.#waiting.get(parsed.data.id);
    if (waiting === undefined) {
      this.#options.log("debug", `late answer to tailnet call ${parsed.data.id}; ignored`);
      return;
    }
    this.#waiting.delete(parsed.data.id);
    clearTimeout(waiting.timer);
    if ("error" in parsed.data) {
      waiting.reject(faultOf(waiting.method, parsed.data.error));
      return;
    }
    const result = results[waiting.method].safeParse(parsed.data.result);
    if (result.success) waiting.resolve(result.data);
    else {
      const message = `tailnet call "${waiting.method}" answered an unexpected shape: ${issues(result.error)}`;
      waiting.reject(new Fault("tailnet_failed", message));
    }
  }
}

// With a byte that is not UTF-8 the line is unreadable, instead of silently becoming another text.
const decoder = new TextDecoder("utf-8", { fatal: true });

function isEventName(name: string): name is EventName {
  return Object.hasOwn(events, name);
}

function issues(error: { issues: readonly { path: PropertyKey[]; message: string }[] }): string {
  const shown = error.issues.slice(0, 3).map((issue) => `${issue.path.map(String).join(".")}: ${issue.message}`);
  return shown.join("; ");
}

function faultOf(method: Method, error: ReplyError): Fault {
  const options = error.hint === undefined ? {} : { hint: error.hint };
  return new Fault(FAULT_OF[error.code], `tailnet call "${method}" failed: ${error.message}`, {
    ...options,
    details: { tailnetCode: error.code },
  });
}

function gone(method: Method, reason: string): Fault {
  return new Fault("tailnet_failed", `tailnet call "${method}" failed: ${reason}`, { hint: "Start the node again." });
}
