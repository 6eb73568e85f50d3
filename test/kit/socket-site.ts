// The local socket of a node as a site on loopback: a browser that opens it is the node's own admin.

/** A site. */
export interface SocketSite extends AsyncDisposable {
  url: string;
}

/** Serves what the socket serves, on a port of 127.0.0.1. */
export function serveSocket(socket: string): SocketSite {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    fetch: async (request) => {
      const { method, headers, url, signal } = request;
      const body = method === "GET" || method === "HEAD" ? {} : { body: await request.arrayBuffer() };
      const answer = await fetch(url, { method, headers, ...body, unix: socket, redirect: "manual", signal });
      // The body is decoded already.
      const passed = new Headers(answer.headers);
      for (const name of ["content-encoding", "content-length", "transfer-encoding"]) passed.delete(name);
      return new Response(answer.body, { status: answer.status, headers: passed });
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    async [Symbol.asyncDispose]() {
      await server.stop(true);
    },
  };
}
