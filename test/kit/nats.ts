// A real nats-server with JetStream for tests, on loopback, whose data are on disk: it can be killed and started again.

import { connect, type Socket } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";
import type { Connections } from "../../src/operation/connections.ts";
import { eventually } from "./eventually.ts";
import { temporaryFolder } from "./temporary.ts";

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

/** Starts a server. `config`: further lines of its file. */
export async function startNats(config = "", { jetStream = true } = {}): Promise<NatsServer> {
  const folder = temporaryFolder();
  const port = freePort();
  const file = join(folder, "nats.conf");
  const store = jetStream ? `jetstream: { store_dir: ${JSON.stringify(folder)} }\n` : "";
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
    [Symbol.asyncDispose]: () => server.kill(),
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

function freePort(): number {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = listener;
  listener.stop(true);
  return port;
}
