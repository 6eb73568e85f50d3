// The service key of connections of other protocols than HTTP. Apart from node-parts.ts, which apply code reaches.

import type { Duplex } from "node:stream";
import { ServiceKey } from "./services.ts";

/** Connections to the host's network, in the only allowed way (security.md 19), and within the tailnet (18). */
export interface Connections {
  /**
   * Opens a connection: with TLS by the Go half, or without it to what `outbound.allow` lists; within the tailnet,
   * which encrypts, never with TLS. The caller destroys it. Rejects with Fault `unavailable`.
   */
  open(
    to: { host: string; port: number; secure: boolean; network?: "host" | "tailnet" },
    signal: AbortSignal,
  ): Promise<Duplex>;
  /** Returns the certificates of the authorities that this system trusts, as PEM, for TLS that begins later. */
  roots(): readonly string[];
  /** Set where there never are any: on a development node. */
  readonly isNone?: true;
}

/** The connections of the node. */
export const CONNECTIONS: ServiceKey<Connections> = new ServiceKey("connections to the host's network");
