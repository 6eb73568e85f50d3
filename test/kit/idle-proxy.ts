// A TCP proxy on loopback that cuts idle connections, as load balancers and corporate proxies do, or loses all of them
// as a network does: the client notices and the server does not.

import type { Socket } from "bun";

export interface IdleProxy extends AsyncDisposable {
  port: number;
  /** Connections that it cut because they were idle. */
  cut: () => number;
  /** Connections that were opened through it. */
  opened: () => number;
  /** Ends all connections for their clients; the server still has them, and what it sends goes nowhere. */
  lose: () => void;
}

interface Side {
  other: Socket<Side> | undefined;
  /** Bytes received before the other side was connected. */
  early: Uint8Array[];
  /** When something was last sent on the connection, shared by both sides, in ms. */
  seen: { atMs: number };
  isLost: boolean;
}

/** Starts one in front of a unix socket; a connection that is idle for `idleMs` in both directions is cut. */
export function startIdleProxy(unix: string, idleMs: number): IdleProxy {
  let cut = 0;
  let opened = 0;
  const fronts = new Set<Socket<Side>>();
  const lost: Socket<Side>[] = [];
  const pass = (socket: Socket<Side>, chunk: Uint8Array) => {
    const { other, early, seen, isLost } = socket.data;
    if (isLost) return;
    seen.atMs = performance.now();
    if (other === undefined) early.push(Uint8Array.from(chunk));
    else if (other.write(chunk) !== chunk.byteLength) throw new Error("the proxy of a test got more than it can hold");
  };
  const listener = Bun.listen<Side>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open(front) {
        opened++;
        const seen = { atMs: performance.now() };
        front.data = { other: undefined, early: [], seen, isLost: false };
        fronts.add(front);
        const connecting = Bun.connect<Side>({
          unix,
          data: { other: front, early: [], seen, isLost: false },
          socket: {
            open(back) {
              front.data.other = back;
              for (const chunk of front.data.early.splice(0)) back.write(chunk);
            },
            data: pass,
            close: () => void front.end(),
          },
        });
        connecting.catch(() => front.end());
      },
      data: pass,
      close(front) {
        fronts.delete(front);
        if (!front.data.isLost) front.data.other?.end();
      },
    },
  });
  const timer = setInterval(() => {
    for (const front of fronts) {
      if (performance.now() - front.data.seen.atMs < idleMs) continue;
      cut++;
      fronts.delete(front);
      front.data.other?.terminate();
      front.terminate();
    }
  }, 50);
  return {
    port: listener.port,
    cut: () => cut,
    opened: () => opened,
    lose: () => {
      for (const front of fronts) {
        const { other: back } = front.data;
        front.data.isLost = true;
        if (back !== undefined) {
          back.data.isLost = true;
          lost.push(back);
        }
        front.terminate();
      }
      fronts.clear();
    },
    [Symbol.asyncDispose]: async () => {
      clearInterval(timer);
      listener.stop(true);
      for (const back of lost) back.terminate();
    },
  };
}
