// A transport of the MCP SDK's client that runs a bridge in this process; `cairn simulate --fleet` uses it.

import type { JSONRPCMessage, Transport } from "@modelcontextprotocol/client";
import type { LogLine } from "../observe/logging.ts";
import { runBridge } from "./bridge.ts";
import type { Route } from "./route.ts";

/** A transport with a bridge of its own; closing it ends the bridge. */
export class BridgeTransport implements Transport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: JSONRPCMessage) => void;
  readonly #end = new AbortController();
  readonly #lines = new TransformStream<string, string>();
  readonly #writer = this.#lines.writable.getWriter();
  readonly #openRoute: (signal: AbortSignal) => Route;
  readonly #log: LogLine;
  #done: Promise<void> | undefined;

  constructor(openRoute: (signal: AbortSignal) => Route, log: LogLine) {
    this.#openRoute = openRoute;
    this.#log = log;
  }

  async start(): Promise<void> {
    const { signal } = this.#end;
    const write = (text: string, done: (error?: Error | null) => void): void => {
      const message: JSONRPCMessage = JSON.parse(text);
      this.onmessage?.(message);
      done();
    };
    const running = runBridge({
      route: this.#openRoute(signal),
      stdin: this.#lines.readable,
      stdout: { write },
      signal,
      log: this.#log,
    });
    this.#done = running.then(
      () => this.onclose?.(),
      (error: unknown) => this.onerror?.(error instanceof Error ? error : new Error(String(error))),
    );
  }

  async send(message: JSONRPCMessage): Promise<void> {
    await this.#writer.write(`${JSON.stringify(message)}\n`);
  }

  async close(): Promise<void> {
    this.#end.abort();
    await this.#done;
  }
}
