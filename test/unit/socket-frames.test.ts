// WebSockets that this node opens: frames as they are cut on the way, what a server must not send, and answers that
// refuse a handshake.

import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { dialSocket } from "../../src/lib/dialed-socket.ts";
import { clientFrame, closeData, closeOf, SocketFrameReader } from "../../src/lib/socket-frames.ts";
import { HandshakeAnswer } from "../../src/lib/socket-handshake.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);
/** A frame of a server. */
const frame = (first: number, data: Uint8Array) => Buffer.concat([Buffer.of(first, data.byteLength), data]);

/** Answers a handshake, then sends these bytes, each part on its own. Returns what a client saw. */
async function against(...parts: Uint8Array[]) {
  const got: Buffer[] = [];
  const server = Bun.listen({
    ...{ hostname: "127.0.0.1", port: 0 },
    socket: {
      async data(socket, bytes) {
        got.push(Buffer.from(bytes));
        const key = /Sec-WebSocket-Key: (.+)\r\n/.exec(bytes.toString("latin1"))?.[1];
        if (key === undefined) return;
        const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
        socket.write(`HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
        for (const part of parts) {
          socket.write(part);
          await Bun.sleep(5);
        }
      },
    },
  });
  try {
    const given = { path: "/", headers: new Headers({ host: "x" }), protocols: "", maxBytes: 1000 };
    const socket = await dialSocket({ at: { loopbackPort: server.port }, signal: AbortSignal.timeout(5000), ...given });
    if (socket instanceof Response) throw new Error(`refused: ${socket.status}`);
    const came: (string | Uint8Array)[] = [];
    const closed = await new Promise<[number, string]>((resolve) => {
      socket.start({
        message: (data) => void came.push(data),
        drained: () => {},
        closed: (code, reason) => resolve([code, reason]),
      });
    });
    return { came, closed, got: Buffer.concat(got.slice(1)) };
  } finally {
    server.stop(true);
  }
}

const BYE = frame(0x88, closeData(1000, "bye"));

test("a message in parts with a ping between them comes whole, and the ping is answered", async () => {
  const whole = [frame(0x01, bytesOf("grü").subarray(0, 3)), frame(0x89, bytesOf("?"))];
  const rest = [frame(0x00, bytesOf("grü").subarray(3)), frame(0x80, bytesOf("ße")), frame(0x82, Buffer.of(1, 2)), BYE];
  const { came, closed, got } = await against(...whole, ...rest);
  expect([came[0], [...(came[1] as Uint8Array)], came.length]).toEqual(["grüße", [1, 2], 2]);
  expect(closed).toEqual([1000, "bye"]);
  // The pong: masked, with what the ping had.
  expect([got[0], got[1], (got[6] ?? 0) ^ (got[2] ?? 0)]).toEqual([0x8a, 0x81, "?".charCodeAt(0)]);
});

test.each([
  ["a masked frame", Buffer.of(0x81, 0x81, 0, 0, 0, 0, 65), 1002],
  ["a reserved bit", Buffer.of(0xc1, 1, 65), 1002],
  ["an unknown kind", Buffer.of(0x83, 1, 65), 1002],
  ["a ping in parts", Buffer.of(0x09, 0), 1002],
  ["a long ping", Buffer.of(0x89, 126, 0, 200), 1002],
  ["a part without a beginning", Buffer.of(0x80, 1, 65), 1002],
  ["two beginnings", Buffer.of(0x01, 1, 65, 0x01, 1, 65), 1002],
  ["text that is not UTF-8", Buffer.of(0x81, 1, 0xff), 1007],
  ["a large frame, before its bytes", Buffer.of(0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0), 1009],
  [
    "many small parts",
    Buffer.concat([frame(2, new Uint8Array(100)), ...Array(10).fill(frame(0, new Uint8Array(100)))]),
    1009,
  ],
])("%s ends the socket, and nothing of it comes", async (_what, bytes, code) => {
  const { came, closed } = await against(bytes);
  expect([came, closed[0]]).toEqual([[], code]);
});

test("a frame is the same wherever it is cut", () => {
  const data = new Uint8Array(70_000).map((_, index) => index % 256);
  const sent = clientFrame(2, data);
  expect([sent[0], sent[1], sent.byteLength]).toEqual([0x82, 0xff, 70_014]);
  const unmasked = Buffer.concat([Buffer.of(0x82, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70), data]);
  for (const size of [1, 3, 4096, 70_010]) {
    const reader = new SocketFrameReader(100_000);
    const frames = [];
    for (let at = 0; at < unmasked.byteLength; at += size)
      frames.push(...reader.push(unmasked.subarray(at, at + size)));
    expect(frames.map((each) => [each.opcode, each.isLast, Buffer.from(each.data).equals(data)])).toEqual([
      [2, true, true],
    ]);
  }
});

test("codes that no frame may have are not sent, and reasons are cut within a letter's bounds", () => {
  for (const code of [1004, 1005, 1006, 1015, 2999, 5000]) expect(closeData(code, "x").byteLength).toBe(0);
  expect(closeOf(closeData(4000, "ü".repeat(100)))).toEqual({ code: 4000, reason: "ü".repeat(61) });
  expect(closeOf(new Uint8Array(0))).toEqual({ code: 1005, reason: "" });
  expect(closeOf(Buffer.of(3, 238))).toMatchObject({ code: 1002 });
});

test.each([
  ["a length", "HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\nno!", "no!"],
  ["chunks", "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n1\r\n!\r\n0\r\n\r\n", "no!"],
  ["the end of the connection", "HTTP/1.1 403 No\r\n\r\nno!", "no!"],
  ["less than its length", "HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nno!", ""],
  ["a chunk that is cut", "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nno!", ""],
  ["too much", `HTTP/1.1 403 No\r\n\r\n${"x".repeat(70_000)}`, ""],
])("a refusal with %s", async (_what, text, body) => {
  const answer = new HandshakeAnswer();
  for (const byte of bytesOf(text.slice(0, 200))) answer.push(Uint8Array.of(byte));
  answer.push(bytesOf(text.slice(200)));
  expect(answer.ended()).toBe(true);
  const response = answer.response();
  expect([response.status, await response.text()]).toEqual([403, body]);
});

test.each([
  "HTTP/2 200 Yes\r\n\r\n",
  "SSH-2.0\r\n\r\n",
  "HTTP/1.1 100 Go on\r\n\r\n",
  "HTTP/1.1 200 Yes\r\nnothing\r\n\r\n",
])("%j is no answer", (text) => {
  expect(() => new HandshakeAnswer().push(bytesOf(text))).toThrow("no HTTP");
});
