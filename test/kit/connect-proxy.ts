// A CONNECT proxy on loopback that reaches every name at one TLS server, which stands in front of a plain one: what a
// node sends to the internet through a proxy ends in a server of the test.

import { createServer as createHttp } from "node:http";
import { type AddressInfo, connect, type Server, type Socket } from "node:net";
import { createServer as createTls } from "node:tls";
import { selfSigned } from "./certificate.ts";

export interface ConnectProxy extends AsyncDisposable {
  /** Its URL. */
  url: string;
  /** The file of the certificate that its server has, for SSL_CERT_FILE. */
  certificate: string;
  /** `CONNECT host:port` with the Proxy-Authorization of each request. */
  seen: string[];
  /** Refuses with this status from now on, and ends the connections through it. */
  refuse(status: number): void;
}

/** Starts one for a server of this name, whose plain side is at `127.0.0.1:PORT`. Needs openssl. */
export async function startConnectProxy(name: string, plain: string): Promise<ConnectProxy> {
  const { key, cert, file } = await selfSigned(name);
  let refused: number | undefined;
  const sockets = new Set<Socket>();
  const pipeBoth = (one: Socket, other: Socket): void => {
    for (const socket of [one, other]) {
      sockets.add(socket);
      socket.on("error", () => socket.destroy()).on("close", () => sockets.delete(socket));
    }
    one.pipe(other).pipe(one);
  };
  const port = Number(plain.split(":")[1]);
  const tls = createTls({ key, cert }, (near) => pipeBoth(near, connect(port, "127.0.0.1")));
  await listening(tls);
  const proxy = createHttp();
  await listening(proxy);
  const started: ConnectProxy = {
    url: `http://127.0.0.1:${portOf(proxy)}`,
    certificate: file,
    seen: [],
    refuse(status) {
      refused = status;
      for (const socket of sockets) socket.destroy();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      proxy.closeAllConnections();
      await Promise.all([tls, proxy].map((server) => new Promise((resolve) => server.close(resolve))));
    },
  };
  proxy.on("connect", (request, near: Socket) => {
    started.seen.push(`CONNECT ${request.url} ${request.headers["proxy-authorization"] ?? "without credentials"}`);
    if (refused !== undefined) return near.end(`HTTP/1.1 ${refused} No\r\nContent-Length: 0\r\n\r\n`);
    near.write("HTTP/1.1 200 Connection established\r\n\r\n");
    pipeBoth(near, connect(portOf(tls), "127.0.0.1"));
  });
  return started;
}

function listening(server: Server): Promise<void> {
  return new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}
