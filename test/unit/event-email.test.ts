// Mail by SMTP against a real server: TLS from the first byte and by STARTTLS, what is never sent without it, what the
// server's answers mean, and servers that hang, cut or cannot be reached.

import { afterEach, beforeAll, expect, test } from "bun:test";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";
import { CallbackKeys } from "../../src/features/event/subscription/callback-keys.ts";
import type { Delivery } from "../../src/features/event/subscription/delivery.ts";
import { secretsOf } from "../../src/features/event/subscription/targets/address.ts";
import { outwardTarget } from "../../src/features/event/subscription/targets/declared.ts";
import type { TargetParts } from "../../src/features/event/subscription/targets/parts.ts";
import { makeTarget } from "../../src/features/event/subscription/targets/target.ts";
import { Fault } from "../../src/lib/fault.ts";
import type { Connections } from "../../src/operation/connections.ts";
import { type Certificate, selfSigned } from "../kit/certificate.ts";

const HOST = "localhost";
const ENV = { CAIRN_SECRET_MAIL: "ann@example.com:pass-word-1:x" };
const record = {
  ...{ id: "e-1", source: "user:ann@example.com/ci", type: "build.failed", time: "2026-11-29T12:00:00Z" },
  data: { title: "Größe\r\nBcc: eve@example.com", text: "It failed.\n.\nEnd", priority: 5, tags: ["ci"] },
};
const delivery: Delivery = { subscription: "s1", offset: 7, messageId: "s1-7", record };

interface Taken {
  from: string;
  to: string[];
  text: string;
  user: string | undefined;
  secure: boolean;
}

let certificate: Certificate;
const servers: (SMTPServer | Server)[] = [];
beforeAll(async () => {
  certificate = await selfSigned(HOST);
});
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** Starts a server of mail and returns its port with what it took. */
async function startServer(options: SMTPServerOptions = {}) {
  const taken: Taken[] = [];
  const logins: string[] = [];
  const server = new SMTPServer({
    ...{ key: certificate.key, cert: certificate.cert, authOptional: true, disableReverseLookup: true },
    onAuth({ username, password }, _session, done) {
      logins.push(`${username} ${password}`);
      done(null, { user: username });
    },
    onData(stream, { envelope, user, secure }, done) {
      const parts: Buffer[] = [];
      stream.on("data", (part: Buffer) => parts.push(part));
      stream.on("end", () => {
        const { mailFrom, rcptTo } = envelope;
        taken.push({
          ...{ from: mailFrom === false ? "" : mailFrom.address, to: rcptTo.map(({ address }) => address) },
          ...{
            text: Buffer.concat(parts).toString("utf8"),
            user: user === undefined ? undefined : String(user),
            secure,
          },
        });
        done(null, "queued as 1");
      });
    },
    ...options,
  });
  server.on("error", () => {});
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  return { port: (server.server.address() as AddressInfo).port, taken, logins };
}

/** As the Go half: TLS is done before the connection is given. */
const dial: Connections["open"] = async ({ port, secure }) => {
  const plain = connect(port, "127.0.0.1");
  const socket = secure ? connectTls({ socket: plain, servername: HOST, ca: certificate.cert }) : plain;
  await new Promise((resolve, reject) =>
    socket.once(secure ? "secureConnect" : "connect", resolve).once("error", reject),
  );
  return socket;
};

async function mail(target: object, changes: Partial<Connections> = {}, more: Partial<Delivery> = {}) {
  const config = { kind: "notify", service: "email", from: "cairn@example.com", to: ["ops@example.com"], ...target };
  const outbound = () => Promise.reject(new Error("no request"));
  const parts: TargetParts = {
    ...{ outbound, tailnet: outbound, readSecret: secretsOf(ENV), fleetId: () => "f1", nowMs: Date.now },
    callbackKeys: new CallbackKeys(Date.now),
    ...{ connections: { open: dial, roots: () => [certificate.cert], ...changes } },
  };
  const made = makeTarget(outwardTarget.parse(config), parts, () => Promise.reject(new Error("not asked")));
  return made.send({ ...delivery, ...more }, new AbortController().signal);
}

test.each([
  ["smtps", true],
  ["smtp", false],
])("mail leaves by %s with TLS and the login", async (scheme, secure) => {
  const { port, taken, logins } = await startServer({ secure });
  const target = { url: `${scheme}://${HOST}:${port}`, login: "secret:MAIL", to: ["ops@example.com", "b@example.com"] };
  expect(await mail(target)).toEqual({ result: "delivered", status: 250, detail: "250 queued as 1" });
  expect(logins).toEqual(["ann@example.com pass-word-1:x"]);
  expect(taken).toMatchObject([
    { from: "cairn@example.com", to: ["ops@example.com", "b@example.com"], user: "ann@example.com", secure: true },
  ]);
  const { text = "" } = taken[0] ?? {};
  expect(text).toContain("Message-ID: <s1-7.f1@example.com>");
  expect(text).toContain("Auto-Submitted: auto-generated");
  expect(text).toContain("X-Priority: 1");
  // A title of an event makes no header.
  expect(text).not.toMatch(/^Bcc:/im);
  expect(text).toContain("It failed.\r\n.\r\nEnd\r\n\r\n#ci");
});

test("without TLS nothing is sent, neither login nor mail, unless the target says so", async () => {
  const plain = await startServer({ disabledCommands: ["STARTTLS"] });
  const url = `smtp://${HOST}:${plain.port}`;
  expect(await mail({ url, login: "secret:MAIL" })).toMatchObject({ result: "failed" });
  expect([plain.logins, plain.taken]).toEqual([[], []]);
  expect(await mail({ url, starttls: false })).toMatchObject({ result: "delivered" });
  expect(plain.taken).toMatchObject([{ secure: false }]);
  const other = await startServer();
  const untrusted = await mail({ url: `smtp://${HOST}:${other.port}`, login: "secret:MAIL" }, { roots: () => [] });
  expect(untrusted).toMatchObject({ result: "failed" });
  expect([other.logins, other.taken]).toEqual([[], []]);
});

const saying = (code: number, text: string) => Object.assign(new Error(text), { responseCode: code });

test.each<[string, SMTPServerOptions, object]>([
  [
    "a wrong login",
    { onAuth: (_a, _s, done) => done(saying(535, "no pass-word-1:x")) },
    { result: "failed", status: 535 },
  ],
  ["an unknown mailbox", { onRcptTo: (_a, _s, done) => done(saying(550, "who")) }, { result: "failed", status: 550 }],
  [
    "a sender that may not",
    { onMailFrom: (_a, _s, done) => done(saying(553, "no")) },
    { result: "failed", status: 553 },
  ],
  [
    "a full mailbox",
    { onData: (s, _s, done) => s.resume().on("end", () => done(saying(452, "full"))) },
    { result: "failed", status: 452 },
  ],
  [
    "a text that is refused",
    { onData: (s, _s, done) => s.resume().on("end", () => done(saying(554, "spam"))) },
    { result: "refused", status: 554 },
  ],
])("%s", async (_what, options, expected) => {
  const { port } = await startServer({ secure: true, ...options });
  const outcome = await mail({ url: `smtps://${HOST}:${port}`, login: "secret:MAIL" });
  expect(outcome).toMatchObject(expected);
  expect(JSON.stringify(outcome)).not.toContain("pass-word-1");
});

test("a mailbox of several that is not known is said", async () => {
  const { port, taken } = await startServer({
    secure: true,
    onRcptTo: ({ address }, _session, done) => done(address.startsWith("b") ? saying(550, "who") : null),
  });
  const outcome = await mail({ url: `smtps://${HOST}:${port}`, to: ["a@example.com", "b@example.com"] });
  expect(outcome).toMatchObject({ result: "delivered", detail: "250 queued as 1; not taken for b@example.com" });
  expect(taken).toMatchObject([{ to: ["a@example.com"] }]);
});

/** A server whose connections the test plays. */
async function startRaw(play: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    play(socket);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  return (server.address() as AddressInfo).port;
}

test.each<[string, (socket: Socket) => void]>([
  ["says nothing", () => {}],
  ["stops in the middle", (socket) => void socket.write("220 hello\r\n")],
])("a server that %s has its time, and its connection is closed", async (_what, play) => {
  const closed = Promise.withResolvers<void>();
  const port = await startRaw((socket) => {
    socket.on("close", () => closed.resolve()).resume();
    play(socket);
  });
  const outcome = await mail({ url: `smtp://${HOST}:${port}`, starttls: false, timeout_seconds: 1 });
  expect(outcome).toEqual({ result: "failed", detail: "the server did not take it within 1 s" });
  await closed.promise;
});

test.each<[string, (socket: Socket) => void]>([
  ["cuts", (socket) => void socket.write("220 hello\r\n", () => setTimeout(() => socket.destroy(), 20))],
  ["is none of mail", (socket) => void socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")],
  ["refuses at once", (socket) => void socket.end("554 not here\r\n")],
  [
    "says too much",
    (socket) => {
      const more = () => {
        while (socket.writable && socket.write("220-x".repeat(10_000)));
      };
      socket.on("drain", more);
      more();
    },
  ],
])("a server that %s is tried again", async (_what, play) => {
  const port = await startRaw(play);
  const outcome = await mail({ url: `smtp://${HOST}:${port}`, starttls: false, timeout_seconds: 5 });
  expect(outcome.result).toBe("failed");
  expect(outcome.detail).not.toContain("within 5 s");
});

test("an address that is refused, and a login that is not set, are failed attempts", async () => {
  const refused = () => Promise.reject(new Fault("unavailable", "refused to reach 10.0.0.1:465"));
  const url = "smtps://mail.example.com";
  expect(await mail({ url }, { open: refused })).toEqual({
    result: "failed",
    detail: "refused to reach 10.0.0.1:465",
  });
  const asked: object[] = [];
  const open: Connections["open"] = (to) => {
    asked.push(to);
    return refused();
  };
  await mail({ url }, { open });
  await mail({ url: "smtp://[fd00::1]" }, { open });
  expect(asked).toEqual([
    { host: "mail.example.com", port: 465, secure: true },
    { host: "fd00::1", port: 587, secure: false },
  ]);
  expect((await mail({ url, login: "secret:NONE" }, { open })).detail).toContain("secret:NONE is not set");
  expect(asked).toHaveLength(2);
});

test("events that are sent together are one mail", async () => {
  const { port, taken } = await startServer({ secure: true });
  const others = [1, 2].map((n) => ({ ...record, id: `e-${n}`, data: { title: `t${n}`, text: "x" } }));
  await mail({ url: `smtps://${HOST}:${port}` }, {}, { others, leftOut: 4 });
  expect(taken[0]?.text).toContain("Subject: 7 events");
  expect(taken[0]?.text).toContain("t2: x\r\nand 4 more, which are left out");
});

test.each<[string, object]>([
  ["another scheme", { url: "https://mail.example.com" }],
  ["a user in it", { url: "smtps://ann:x@mail.example.com" }],
  ["a path", { url: "smtps://mail.example.com/x" }],
  ["a port that is none", { url: "smtps://mail.example.com:70000" }],
  ["a login without TLS", { url: "smtp://relay:25", starttls: false, login: "secret:MAIL" }],
  ["no TLS over smtps", { url: "smtps://relay", starttls: false }],
  ["no address", { to: ["ops"] }],
  ["two in one", { to: ["a@example.com, b@example.com"] }],
  ["a line end", { from: "a@example.com\r\nBcc: b@example.com" }],
  ["nobody", { to: [] }],
  ["a secret that is written", { login: "ann:pass" }],
])("a target with %s is refused", (_what, changes) => {
  const config = {
    kind: "notify",
    service: "email",
    url: "smtps://mail.example.com",
    from: "a@example.com",
    to: ["b@example.com"],
  };
  expect(outwardTarget.safeParse(config).success).toBe(true);
  expect(outwardTarget.safeParse({ ...config, ...changes }).success).toBe(false);
});
