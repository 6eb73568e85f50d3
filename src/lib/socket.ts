// A WebSocket of a caller, between the listener that has the connection and what speaks on it.

/** The connection under a socket, as the listener has it. */
export interface SocketPeer {
  /** Sends a message: text, or bytes. */
  send(message: string | Uint8Array): void;
  /** Bytes that were sent and not taken by the client. */
  buffered(): number;
  close(code: number, reason: string): void;
  /** Closes without a word. */
  terminate(): void;
}

/** What a listener does with an upgraded connection. */
export interface SocketHandlers {
  opened(peer: SocketPeer): void;
  message(data: string | Uint8Array): void;
  /** The client has taken what was sent. */
  drained(): void;
  /** The connection is over; with the code of RFC 6455 7.4 and the reason that the client gave. */
  closed(code: number, reason: string): void;
}

/**
 * Turns the request into a WebSocket; false: it is no handshake. `protocol` is the subprotocol that the client is told,
 * of those it offered; "": none.
 */
export type Upgrade = (handlers: SocketHandlers, protocol?: string) => boolean;

/** Stands for the response to a request that became a WebSocket. */
export const UPGRADED = new Response(null);
