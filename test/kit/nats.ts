// A real nats-server with JetStream for tests, on loopback, whose data are on disk: it can be killed and started again.

import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import type { Connections } from "../../src/operation/connections.ts";
import { eventually } from "./eventually.ts";
import { freePort } from "./free-port.ts";

/** The program; undefined where it is not installed. */
export const NATS_SERVER = [
  Bun.which("nats-server"),
  join(process.env["GOPATH"] ?? join(homedir(), "go"), "bin", "nats-server"),
].find((path) => path !== null && Bun.file(path).size > 0);

/** A server. */
export interface NatsServer extends AsyncDisposable {
  port: number;
  url: string;
  /** Ends it as a crash would. */
  kill(): Promise<void>;
  /** Starts it again with its data. `config`: other further lines of its file. */
  start(config?: string): Promise<void>;
}

/** What a server is started with. */
export interface NatsStart {
  jetStream?: boolean;
  /** For its data; without it one of its own, which is removed with the server. */
  folder?: string;
  /** When it syncs what it writes: `always` is before it acknowledges, the server's own default every two minutes. */
  sync?: "always" | "2m";
}

/** Starts a server. `config`: further lines of its file. */
export async function startNats(
  config = "",
  { jetStream = true, folder: given, sync = "2m" }: NatsStart = {},
): Promise<NatsServer> {
  const folder = given ?? mkdtempSync(join(tmpdir(), "cairn-nats-"));
  const port = freePort();
  const file = join(folder, "nats.conf");
  const store = jetStream ? `jetstream: { store_dir: ${JSON.stringify(folder)}, sync_interval: ${sync} }\n` : "";
  let running: Bun.Subprocess | undefined;
  const server: NatsServer = {
    port,
    url: `nats://127.0.0.1:${port}`,
    async start(more = config) {
      await Bun.write(file, `listen: "127.0.0.1:${port}"\n${store}${more}`);
      running = Bun.spawn([NATS_SERVER ?? "nats-server", "-c", file], { stdout: "ignore", stderr: "ignore" });
      await eventually("nats-server listens", () => isListening(port));
    },
    async kill() {
      running?.kill("SIGKILL");
      await running?.exited;
    },
    async [Symbol.asyncDispose]() {
      await server.kill();
      if (given === undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
  await server.start();
  return server;
}

/** Connections of the node's way out, which lead to loopback here. */
export const loopbackConnections: Connections = {
  open: ({ host, port }) => opened(connect(port, host)),
  roots: () => [],
};

function opened(socket: Socket): Promise<Socket> {
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(socket);
    });
  });
}

async function isListening(port: number): Promise<boolean> {
  try {
    (await opened(connect(port, "127.0.0.1"))).destroy();
    return true;
  } catch {
    return false;
  }
}
