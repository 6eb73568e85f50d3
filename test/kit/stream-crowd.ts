// A process that holds many event streams on a unix socket: `bun stream-crowd.ts SOCKET COUNT PATH`. Prints JSON lines
// when all are open, when each has received a change, and how they ended.

import type { Socket } from "bun";

interface Held {
  text: string;
  open: boolean;
  changes: number;
  reason: string | undefined;
}

const [socketPath = "", countText = "", path = "/"] = process.argv.slice(2);
const count = Number(countText);
const AT_ONCE = 100;
const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);

let opened = 0;
let heard = 0;
let closed = 0;
const reasons: Record<string, number> = {};
const startMs = performance.now();
const openings = new Map<Socket<Held>, () => void>();

function take(socket: Socket<Held>, chunk: string): void {
  const held = socket.data;
  held.text += chunk;
  if (!held.open) {
    if (!held.text.includes("\r\n\r\n")) return;
    const status = held.text.slice(0, held.text.indexOf("\r\n"));
    if (!status.startsWith("HTTP/1.1 200")) {
      say({ event: "refused", status });
      process.exit(1);
    }
    held.open = true;
    opened += 1;
    openings.get(socket)?.();
    openings.delete(socket);
    if (opened === count) say({ event: "open", ms: Math.round(performance.now() - startMs) });
  }
  if (held.changes === 0 && held.text.includes("event: change")) {
    held.changes = 1;
    heard += 1;
    if (heard === count) say({ event: "heard" });
  }
  held.reason ??= /event: end\ndata: \{"reason":"(\w+)"/.exec(held.text)?.[1];
  held.text = held.text.slice(-300);
}

const handlers = {
  data: (socket: Socket<Held>, chunk: Buffer) => take(socket, chunk.toString("latin1")),
  close: (socket: Socket<Held>) => {
    const reason = socket.data.reason ?? "none";
    reasons[reason] = (reasons[reason] ?? 0) + 1;
    closed += 1;
    if (closed === count) {
      say({ event: "ended", reasons });
      process.exit(0);
    }
  },
  error: (_socket: Socket<Held>, error: Error) => {
    say({ event: "failed", message: error.message });
    process.exit(1);
  },
};

async function openOne(): Promise<void> {
  const data: Held = { text: "", open: false, changes: 0, reason: undefined };
  const socket = await Bun.connect<Held>({ unix: socketPath, socket: handlers, data });
  const open = new Promise<void>((resolve) => openings.set(socket, resolve));
  socket.write(`GET ${path} HTTP/1.1\r\nHost: cairn\r\n\r\n`);
  await open;
}

for (let from = 0; from < count; from += AT_ONCE) {
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - from) }, openOne));
}
