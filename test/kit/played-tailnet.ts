// A tailnet that only plays the events that a test gives it, and statuses to play.

import { Fault } from "../../src/lib/fault.ts";
import { LoopbackTailnet, type Status, type TailnetEvents } from "../../src/tailnet/index.ts";

/** A tailnet whose events the test fires itself. */
export class Played extends LoopbackTailnet {
  readonly listening: string[] = [];
  logins: (string | undefined)[] = [];
  loginFault: Fault | undefined;
  /** How many of the next attempts to listen fail. */
  listenFailures = 0;
  upFault: Fault | undefined;
  readonly #listeners = new Map<string, unknown[]>();
  override on<K extends keyof TailnetEvents>(event: K, listener: TailnetEvents[K]): () => void {
    const list = this.#listeners.get(event) ?? [];
    list.push(listener);
    this.#listeners.set(event, list);
    return () => list.splice(list.indexOf(listener), 1);
  }
  play<K extends keyof TailnetEvents>(event: K, ...args: Parameters<TailnetEvents[K]>): void {
    for (const listener of this.#listeners.get(event) ?? []) (listener as (...given: typeof args) => void)(...args);
  }
  override async up(): Promise<void> {
    if (this.upFault !== undefined) throw this.upFault;
  }
  override async listen(port: number, options?: { tls: boolean }): Promise<void> {
    if (this.listenFailures-- > 0) throw new Fault("tailnet_failed", "address in use");
    this.listening.push(`${port}${options?.tls === true ? " tls" : ""}`);
  }
  override async login(key?: string): Promise<void> {
    this.logins.push(key);
    if (key !== undefined && this.loginFault !== undefined) throw this.loginFault;
  }
}

/** Returns a status of a device with these changes. */
export function status(
  state: Status["state"],
  changes: Partial<Status> = {},
  self: Partial<NonNullable<Status["self"]>> = {},
): Status {
  const base = {
    id: "n1",
    hostname: "cairn",
    dnsName: "cairn.t.ts.net",
    ips: ["100.64.0.1"],
    tags: [],
    login: "a@example.com",
    userId: "1",
    keyExpiry: null,
    keyExpired: false,
  };
  return {
    state,
    control: "connected",
    denied: null,
    self: { ...base, ...self },
    health: [],
    https: false,
    domains: [],
    funnel: false,
    ...changes,
  };
}
