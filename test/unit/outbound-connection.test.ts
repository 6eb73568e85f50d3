// Connections through the egress of the Go half: what is asked of it, bytes that come with its answer, refusals, ends.

import { afterEach, expect, test } from "bun:test";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { connectionsBy } from "../../src/node/tailnet/outbound-connection.ts";
import { refusal } from "../kit/refusal.ts";
import { temporaryFolder } from "../kit/temporary.ts";

let server: Server | undefined;
afterEach(() => void server?.close());

/** Starts an egress that answers as the test says, and returns what asks it. */
async function start(play: (socket: Socket, head: string) => void) {
  const path = join(temporaryFolder(), "egress.sock");
  server = createServer((socket) => {
    let head = "";
    const take = (part: Buffer) => {
      head += part.toString("latin1");
      if (!head.includes("\r\n\r\n")) return;
      socket.off("data", take);
      play(socket, head);
    };
    socket.on("data", take).on("error", () => {});
  });
  await new Promise<void>((resolve) => server?.listen(path, () => resolve()));
  return connectionsBy(path, "the-secret").open;
}

const MAIL = { host: "mail.example.com", port: 465, secure: true };
const OK = "HTTP/1.1 200 Connection Established\r\n\r\n";

/** Returns all that comes until the other side ends. */
function textOf(socket: Duplex): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    socket.on("data", (part: Buffer) => {
      text += part.toString();
    });
    socket.on("end", () => resolve(text));
  });
}

test.each([
  ["in one write", (socket: Socket) => void socket.write(`${OK}220 hello\r\n`)],
  [
    "byte by byte",
    async (socket: Socket) => {
      for (const byte of `${OK}220 hello\r\n`) {
        socket.write(byte);
        await Bun.sleep(1);
      }
    },
  ],
])("bytes of the other side are not lost: %s", async (_what, answer) => {
  let asked = "";
  const connect = await start(async (socket, head) => {
    asked = head;
    await answer(socket);
    socket.once("data", (part: Buffer) => socket.end(`you said ${part}`));
  });
  const socket = await connect(MAIL, new AbortController().signal);
  const text = textOf(socket);
  await Bun.sleep(30);
  socket.write("EHLO");
  expect(await text).toBe("220 hello\r\nyou said EHLO");
  expect(asked.split("\r\n").slice(0, -2)).toEqual([
    ...["CONNECT mail.example.com:465 HTTP/1.1", "Host: mail.example.com:465", "Cairn-Internal-Secret: the-secret"],
    ...["Cairn-Internal-Network: host", "Cairn-Internal-Scheme: https"],
  ]);
});

test("an IPv6 address is written in brackets, and without TLS the scheme is http", async () => {
  let asked = "";
  const connect = await start((socket, head) => {
    asked = head;
    socket.end(OK);
  });
  (await connect({ host: "fd00::1", port: 25, secure: false }, new AbortController().signal)).destroy();
  expect(asked).toContain("CONNECT [fd00::1]:25 HTTP/1.1\r\n");
  expect(asked).toContain("Cairn-Internal-Scheme: http\r\n");
});

test("a refusal says why and what to do", async () => {
  const body = JSON.stringify({ detail: "refused to reach 10.0.0.1:25.", hint: "List it in outbound.allow." });
  const head = "HTTP/1.1 403 Forbidden\r\nCairn-Internal-Refusal: outbound_refused\r\n";
  const connect = await start((socket) => {
    socket.write(`${head}Content-Length: ${body.length}\r\n\r\n${body.slice(0, 9)}`);
    setTimeout(() => socket.end(body.slice(9)), 20);
  });
  const fault = await connect(MAIL, new AbortController().signal).catch((error: unknown) => error);
  expect(fault).toMatchObject({
    ...{ code: "unavailable", message: "refused to reach 10.0.0.1:25.", hint: "List it in outbound.allow." },
  });
});

test("an egress that is not there, ends or hangs", async () => {
  const nowhere = connectionsBy(join(temporaryFolder(), "none.sock"), "x").open;
  expect((await refusal(nowhere(MAIL, new AbortController().signal))).message).toContain("is not open");
  const ends = await start((socket) => void socket.end("HTTP/1.1 200"));
  expect((await refusal(ends(MAIL, new AbortController().signal))).code).toBe("unavailable");
  server?.close();
  const endless = await start((socket) => void socket.write("x".repeat(40_000)));
  expect((await refusal(endless(MAIL, new AbortController().signal))).code).toBe("unavailable");
  server?.close();
  const closed = Promise.withResolvers<void>();
  const hangs = await start((socket) => void socket.on("close", () => closed.resolve()).resume());
  const late = hangs(MAIL, AbortSignal.timeout(50));
  expect(await late.catch((error: Error) => error.name)).toBe("TimeoutError");
  await closed.promise;
});
