// The yardstick: the least that Bun.serve can do on a unix socket. `bun hello.ts SOCKET`; its response is as large as
// the context that the other side serves.

const socket = process.argv[2] ?? "";
const text = process.argv[3] ?? "hello";
Bun.serve({ unix: socket, fetch: () => new Response(text, { headers: { "Content-Type": "application/json" } }) });
process.stdout.write(`${JSON.stringify({ event: "ready" })}\n`);
