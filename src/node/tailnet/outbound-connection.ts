// Connections of other protocols than HTTP to the host's network (security.md 19) and within the tailnet (18): CONNECT
// on the Go half's egress, which decides where they may go and does TLS.

import { connect, type Socket } from "node:net";
import { getCACertificates } from "node:tls";
import { EGRESS_REFUSAL_HEADER } from "../../lib/egress-refusal.ts";
import { Fault } from "../../lib/fault.ts";
import { connectionReason } from "../../lib/reason-of.ts";
import type { Connections } from "../../operation/connections.ts";
import { notOpen, refusedBy } from "./outbound.ts";

const HEAD_END = "\r\n\r\n";
/** A response to CONNECT with what explains a refusal. */
const MAX_HEAD_BYTES = 16_384;

/** Returns connections through `egress.sock` with the secret of this start. */
export function connectionsBy(socketPath: string, secret: string): Connections {
  return {
    open: (to, signal) => open(socketPath, secret, to, signal),
    roots: () => getCACertificates("system"),
  };
}

async function open(
  path: string,
  secret: string,
  { host, port, secure, network = "host" }: Parameters<Connections["open"]>[0],
  signal: AbortSignal,
): Promise<Socket> {
  signal.throwIfAborted();
  const target = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const socket = connect({ path });
  const abort = () => socket.destroy(new Error("given up"));
  signal.addEventListener("abort", abort, { once: true });
  try {
    const head = [
      `CONNECT ${target} HTTP/1.1`,
      `Host: ${target}`,
      `Cairn-Internal-Secret: ${secret}`,
      // Without a network it goes to a device of the tailnet.
      ...(network === "host"
        ? ["Cairn-Internal-Network: host", `Cairn-Internal-Scheme: ${secure ? "https" : "http"}`]
        : []),
    ];
    socket.write(`${head.join("\r\n")}${HEAD_END}`);
    await answered(socket, host);
    return socket;
  } catch (cause) {
    socket.destroy();
    signal.throwIfAborted();
    if (cause instanceof Fault) throw cause;
    throw notOpen(connectionReason(cause), cause);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** Reads the response; bytes after it belong to the other side and are left in the socket. */
async function answered(socket: Socket, host: string): Promise<void> {
  let came = Buffer.alloc(0);
  for (;;) {
    const part: Buffer | null = socket.read();
    if (part === null) {
      await readable(socket);
      continue;
    }
    came = Buffer.concat([came, part]);
    const end = came.indexOf(HEAD_END);
    if (end < 0 && came.length <= MAX_HEAD_BYTES) continue;
    const head = came.subarray(0, Math.max(end, 0)).toString("latin1");
    const rest = came.subarray(end + HEAD_END.length);
    if (/^HTTP\/1\.1 200 /.test(head)) {
      if (rest.length > 0) socket.unshift(rest);
      return;
    }
    throw await refusalOf(socket, head, rest, host);
  }
}

async function refusalOf(socket: Socket, head: string, begun: Buffer, host: string): Promise<Fault> {
  const header = (name: string) => new RegExp(`^${name}: *(.*?) *$`, "im").exec(head)?.[1];
  const length = Math.min(Number(header("content-length") ?? 0), MAX_HEAD_BYTES);
  let body = begun;
  while (body.length < length) {
    const part: Buffer | null = socket.read();
    if (part === null) await readable(socket);
    else body = Buffer.concat([body, part]);
  }
  return refusedBy(header(EGRESS_REFUSAL_HEADER) ?? "exchange_failed", body.toString("utf8"), host);
}

/** Resolves when there is something to read. Rejects where the connection ended or failed. */
function readable(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: unknown) => {
      socket.off("readable", onReadable).off("end", onEnd).off("error", settle).off("close", onEnd);
      if (error === undefined) resolve();
      else reject(error);
    };
    const onReadable = () => settle();
    const onEnd = () => settle(new Error("the connection ended"));
    socket.on("readable", onReadable).on("end", onEnd).on("error", settle).on("close", onEnd);
  });
}

/** Stands for them on a node of `cairn dev`, which has no Go half. */
export const noConnections: Connections = {
  open: async ({ host }) => {
    throw new Fault("unavailable", `A development node has no outbound connection, so ${host} is not asked`, {
      hint: "Use a node that cairn serve or npm start has started.",
      facts: { transient: false, refusedHere: true },
    });
  },
  roots: () => [],
  isNone: true,
};
