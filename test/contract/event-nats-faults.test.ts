// What a server of NATS, its operator and others who write there can do to the log of events, over a real nats-server:
// nothing ends a node, no offset is used again, and what is gone is said.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import type { Transport } from "@nats-io/nats-core/internal";
import { natsShape } from "../../src/config/shapes.ts";
import { JetStreamLog } from "../../src/features/event/jetstream/jetstream-log.ts";
import { subjectOf } from "../../src/features/event/jetstream/message.ts";
import { addressOf, NatsLink, operatorReason } from "../../src/features/event/jetstream/nats.ts";
import { readStep } from "../../src/features/event/jetstream/read.ts";
import { headOf, limitStream, makeStream, prefixOf, sealStream } from "../../src/features/event/jetstream/stream.ts";
import { redactText } from "../../src/observe/redact.ts";
import { selfSigned } from "../kit/certificate.ts";
import { item } from "../kit/event-log-suite.ts";
import { eventually } from "../kit/eventually.ts";
import { DEFAULT_WRITE_LIMITS } from "../kit/limits.ts";
import { loopbackConnections, NATS_SERVER, type NatsServer, startNats } from "../kit/nats.ts";
import { faultOf, refusal } from "../kit/refusal.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const BY = { caller: "user:ann@x", agent: "", node: "n" };
const upTo = (last: number, first = 1) => Array.from({ length: last - first + 1 }, (_, at) => first + at);
const offsets = (rows: readonly { offset: number }[]) => rows.map(({ offset }) => offset);
let streams = 0;

describe.skipIf(NATS_SERVER === undefined)("a log of events in NATS that is meddled with [needs nats-server]", () => {
  let server: NatsServer;
  let link: NatsLink;
  let log: JetStreamLog;
  let place: { id: string; stream: string; replicas: number };
  const limits = DEFAULT_WRITE_LIMITS.events;
  const problems: (string | undefined)[] = [];
  beforeAll(async () => {
    server = await startNats();
  });
  afterAll(() => server.kill());
  beforeEach(async () => {
    streams += 1;
    const id = `${streams}`.padStart(10, "b");
    place = { id, stream: `cairn-${id}`, replicas: 1 };
    link = new NatsLink({ ...loopbackConnections, place: () => ({ url: server.url, login: undefined }) });
    await makeStream(link, place, 0, limits);
    problems.length = 0;
    log = new JetStreamLog({
      ...{ link, place, fleetId: () => "f", seq: () => 1, limits: () => limits, earlier: () => undefined },
      ...{ isOver: () => false, onOver: () => () => {}, onProblem: (problem) => problems.push(problem) },
    });
    await log.open();
  });
  afterEach(async () => {
    log.close();
    await link.close();
  });

  const store = (...ids: string[]) =>
    log.store(
      BY,
      "team-a",
      ids.map((id) => item(id)),
    );
  const reach = (tail: number) => eventually(`the head is at ${tail}`, () => log.head().tail === tail || undefined);

  test("what others wrote into the stream is an event of the space fleet, and keeps no one from the others", async () => {
    await store("1");
    const { connection } = await link.client();
    const forged = JSON.stringify({ space: "team-a", caller: "user:eve@x", id: "x", kind: "json", size: -1, seq: 0 });
    for (const text of ["no JSON", "[]", forged]) await connection.request(`${prefixOf(place.stream)}.0`, text);
    expect((await store("2")).offsets).toEqual([5]);
    await reach(5);
    const rows = await eventually("all came", async () => {
      const found = await log.after(0, 10);
      return found.length === 5 && found;
    });
    expect(rows.map(({ space, type }) => [space, type])).toEqual([
      ["team-a", "build.done"],
      ...upTo(3).map(() => ["fleet", "nats.unreadable"]),
      ["team-a", "build.done"],
    ]);
    expect((await log.keptAfter(0, 10)).map(({ row }) => row)).toEqual(rows);
    expect(await log.find("user:ann@x/ci", "2")).toMatchObject({ offset: 5 });
    expect(await log.offsetBefore(Date.now() + 3_600_000)).toBe(5);
  });

  test("a stream that lost its end takes nothing before the places of the lost events are filled", async () => {
    await store("1", "2", "3", "4", "5");
    await reach(5);
    const { manager } = await link.client();
    await manager.streams.delete(place.stream);
    expect((await refusal(log.look())).message).toContain("is not there");
    await makeStream(link, place, 2, limits);
    const short = await refusal(log.look());
    expect([short.code, short.message]).toEqual([
      "event_log_unavailable",
      expect.stringContaining("had events up to 5, and now ends with 2"),
    ]);
    expect((await refusal(store("6"))).code).toBe("event_log_unavailable");
    expect([await log.fill(), await log.fill()]).toEqual([true, false]);
    expect((await store("6")).offsets).toEqual([6]);
    const rows = await log.after(2, 10);
    expect(rows.map(({ offset, type }) => [offset, type])).toEqual([
      ...upTo(5, 3).map((at) => [at, "nats.unreadable"]),
      [6, "build.done"],
    ]);
    // Another stream of the same name is not taken for it.
    await manager.streams.delete(place.stream);
    await makeStream(link, { ...place, id: "cccccccccc" }, 9, limits);
    expect((await refusal(log.look())).message).toContain("another one");
  });

  test("an event that is missing in the middle ends what is kept before it", async () => {
    const { manager } = await link.client();
    await manager.streams.delete(place.stream);
    const config = { name: place.stream, subjects: [`${prefixOf(place.stream)}.*`], allow_direct: true };
    await manager.streams.add({ ...config, metadata: { "cairn.log": place.id } });
    await store("1", "2", "3", "4", "5");
    await manager.streams.deleteMessage(place.stream, 3);
    expect(await log.look()).toMatchObject({ floor: 3, tail: 5 });
    expect(offsets(await log.after(0, 10))).toEqual([4, 5]);
    expect(log.judge(`${place.id}-e3`)).toBe(3);
    expect(faultOf(() => log.judge(`${place.id}-e2`)).code).toBe("below_floor");
  });

  test("what an operator changes against the promises of the log is set back", async () => {
    const { manager } = await link.client();
    const { config } = await manager.streams.info(place.stream);
    const changed = { ...config, max_msgs_per_subject: 1, discard: "new" as typeof config.discard, max_msg_size: 100 };
    await manager.streams.update(place.stream, changed);
    await limitStream(link, place, limits);
    const { config: now } = await manager.streams.info(place.stream);
    const { max_msgs_per_subject, discard, max_msg_size, allow_direct, deny_delete, deny_purge } = now;
    expect({ max_msgs_per_subject, discard, max_msg_size, allow_direct, deny_delete, deny_purge }).toEqual({
      ...{ max_msgs_per_subject: -1, discard: "old" as typeof discard, max_msg_size: -1 },
      ...{ allow_direct: true, deny_delete: true, deny_purge: true },
    });
  });

  test("limits of a stream are written where they differ, and only there", async () => {
    let updates = 0;
    const call: NatsLink["call"] = (run) =>
      link.call((client) => {
        const { streams } = client.manager;
        const update: typeof streams.update = (name, config) => {
          updates += 1;
          return streams.update(name, config);
        };
        const counted = { info: streams.info.bind(streams), update };
        return run({ ...client, manager: { streams: counted } as unknown as typeof client.manager });
      });
    const counting = { call } as unknown as NatsLink;
    for (const _ of upTo(2)) await limitStream(counting, place, limits);
    const most = { ...limits, keepCount: 7, keepBytes: 0, keepMs: 0, dedupeSeconds: 0 };
    for (const _ of upTo(2)) await limitStream(counting, place, most);
    expect(updates).toBe(2);
  });

  test("an event beyond max_payload is refused as too large, also in a move", async () => {
    const data = JSON.stringify('"'.repeat(300_000));
    const { failed } = await log.store(BY, "team-a", [item("1", { data }), item("2")]);
    expect(failed).toEqual([{ at: 0, code: "too_large", message: expect.stringContaining("limit"), unknown: false }]);
    const [row] = await log.after(0, 1);
    expect((await refusal(log.put({ ...(row as NonNullable<typeof row>), offset: 2, data }, 1))).code).toBe(
      "too_large",
    );
  });

  test("large events behind many small ones are read without gaps, the newest first", async () => {
    await store(...upTo(600).map(String));
    // More than one read has room for, where the mean event says that it has.
    const large = upTo(624, 601).map((id) => item(`${id}`, { data: JSON.stringify("x".repeat(400_000)) }));
    for (const each of large) await log.store(BY, "team-a", [each]);
    await log.look();
    const back: number[] = [];
    for (let at = 625; at > 590; at = back.at(-1) ?? 0) back.push(...offsets(await log.before(at, 40)));
    expect(back.slice(0, 30)).toEqual(upTo(624, 595).reverse());
    expect(offsets(await log.outlines({ after: 590, upTo: 624 }, 256))).toEqual(upTo(624, 591).reverse());
  });

  test("an event is found behind those of its subject that one step has no room for", async () => {
    const { connection } = await link.client();
    const subject = subjectOf(prefixOf(place.stream), "user:ann@x/ci", "last");
    for (const _ of upTo(6)) await connection.request(subject, "x".repeat(900_000));
    await store("last");
    expect(await readStep(link, place, { from: 1, max: 256, subject })).toMatchObject({ isAll: false });
    expect(await log.find("user:ann@x/ci", "last")).toMatchObject({ offset: 7 });
    expect(await log.find("user:ann@x/ci", "other")).toBeUndefined();
  });

  test("a stream is closed for good once, also by the next leader, and says where it ended", async () => {
    await store("1", "2");
    for (const _ of upTo(2)) expect(await sealStream(link, place)).toBe(2);
    expect((await refusal(store("3"))).code).toBe("event_log_unavailable");
    expect(offsets(await log.after(0, 10))).toEqual([1, 2]);
  });

  test("a cursor ahead of what is known is refused only where it is known how far the stream goes", async () => {
    const options = { place, fleetId: () => "f", seq: () => 1, limits: () => limits, earlier: () => undefined };
    const rest = { isOver: () => false, onOver: () => () => {} };
    const ahead = `${place.id}-e9`;
    expect(faultOf(() => new JetStreamLog({ link, ...options, ...rest }).judge(ahead)).code).toBe(
      "event_log_unavailable",
    );
    expect(faultOf(() => log.judge(ahead)).code).not.toBe("event_log_unavailable");
    const away = { isAway: true, call: link.call.bind(link) } as unknown as NatsLink;
    const other = new JetStreamLog({ link: away, ...options, ...rest });
    await other.look();
    expect(faultOf(() => other.judge(ahead)).code).toBe("event_log_unavailable");
  });

  test("of holes in a stream the newest ends what is kept, and their number where the server names none", async () => {
    const state = { first_seq: 1, last_seq: 10, messages: 8, bytes: 1 };
    const said = (more: object) => {
      const info = (_: string, asked?: object) =>
        Promise.resolve({
          config: { metadata: { "cairn.log": place.id } },
          state: asked === undefined ? state : { ...state, ...more },
        });
      const call = (run: (client: unknown) => unknown) => run({ manager: { streams: { info } } });
      return headOf({ call } as unknown as NatsLink, place);
    };
    expect(await said({})).toMatchObject({ hole: 2, floor: 2, last: 10 });
    expect(await said({ deleted: [3], lost: { msgs: [6, 4] } })).toMatchObject({ hole: 6, floor: 6, last: 10 });
  });

  test("an event of a known id is put at its place, with the id only where it may still come again", async () => {
    await store("1");
    const [row] = await log.after(0, 1);
    const put = (offset: number, ageMs: number) =>
      log.put({ ...(row as NonNullable<typeof row>), offset, log_time: Date.now() - ageMs }, 1);
    expect(await put(2, 2000 * limits.dedupeSeconds)).toBe(false);
    expect(await put(3, 0)).toBe(true);
    expect((await refusal(put(3, 0))).message).toContain("sequence");
    expect((await log.look()).tail).toBe(3);
  });

  test("reads leave no subscription behind, and find an event among more than one step has", async () => {
    await store(...upTo(20).map(String));
    const { connection } = await link.client();
    const { subscriptions } = (connection as unknown as { protocol: { subscriptions: { size(): number } } }).protocol;
    await log.keptAfter(0, 5);
    const before = subscriptions.size();
    for (const at of upTo(20)) expect(offsets((await log.keptAfter(at - 1, 1)).map(({ row }) => row))).toEqual([at]);
    expect(subscriptions.size()).toBe(before);
    expect(await readStep(link, place, { from: 1, max: 20 })).toMatchObject({ isAll: true });
    expect(await readStep(link, place, { from: 1, max: 19 })).toMatchObject({ isAll: false });
    expect(await readStep(link, place, { from: 21, max: 5 })).toEqual({ found: [], isAll: true });
  });

  test("a read whose answer stops in the middle ends", async () => {
    let callback: ((error: null, message: object) => void) | undefined;
    let isEnded = false;
    const connection = {
      subscribe: (_: string, options: { callback: typeof callback }) => {
        callback = options.callback;
        return { unsubscribe: () => (isEnded = true) };
      },
      publish: () => callback?.(null, { data: Buffer.from("{}"), headers: { code: 0, last: () => "1" } }),
    };
    const half = {
      call: (run: (client: never) => Promise<unknown>) => run({ connection } as never),
    } as unknown as NatsLink;
    await expect(readStep(half, place, { from: 1, max: 2, quietMs: 1 })).rejects.toThrow("sent nothing");
    expect(isEnded).toBe(true);
  });
});

describe.skipIf(NATS_SERVER === undefined)("connections to NATS [needs nats-server]", () => {
  /** What operators are told of a refusal; callers are told nothing of logins and hosts. */
  const told = async (promise: Promise<unknown>) => {
    const { code, message } = await refusal(promise);
    const reason = await promise.catch(operatorReason);
    expect(reason).toStartWith("NATS JetStream cannot be used now: ");
    expect(message).toBe("The log of events is in NATS JetStream, which cannot be used now");
    return { code, message: String(reason).slice(35) };
  };

  test("a login that the server refuses says so, and is tried again once the server takes it", async () => {
    const file = (password: string) => `authorization { user: cairn, password: "${password}" }\n`;
    await using server = await startNats(file("first-password"));
    let login = "cairn:first-password";
    const link = new NatsLink({ ...loopbackConnections, place: () => ({ url: server.url, login }) });
    const ask = () => link.call(async ({ manager }) => manager.getAccountInfo());
    await ask();
    expect(redactText("it is first-password")).not.toContain("first");
    await server.kill();
    await server.start(file("other-password"));
    const refused = await eventually("it is refused", async () => {
      const fault = await told(ask()).catch(() => undefined);
      return fault?.message.includes("Authorization Violation") === true && fault;
    });
    expect(refused.code).toBe("event_log_unavailable");
    await server.kill();
    await server.start(file("first-password"));
    await eventually("it is let in again", () =>
      ask().then(
        () => true,
        () => undefined,
      ),
    );
    login = "cairn:wrong";
    expect((await told(ask())).message).toContain("Authorization Violation");
    login = "-----BEGIN NATS USER JWT-----\nbroken";
    const broken = await told(ask());
    expect([broken.code, broken.message.includes("broken")]).toEqual(["event_log_unavailable", false]);
    login = "cairn:first-password";
    await ask();
    await link.close();
    expect((await told(ask())).message).toContain("stopping");
  });

  test("a connection on which no sense comes is made again at once", async () => {
    await using server = await startNats();
    const open: Socket[] = [];
    const link = new NatsLink({
      ...loopbackConnections,
      open: async (to, signal) => {
        open.push((await loopbackConnections.open(to, signal)) as Socket);
        return open.at(-1) as Socket;
      },
      place: () => ({ url: server.url, login: undefined }),
    });
    const ask = () => link.call(async ({ manager }) => manager.getAccountInfo());
    await ask();
    open[0]?.emit("data", Buffer.from("\u0000no sense\r\n"));
    // A server that is silent would be left after ten seconds only.
    await eventually("there is another connection", () => open.length === 2 || undefined, { withinMs: 8000 });
    await eventually("it answers", () =>
      ask().then(
        () => true,
        () => undefined,
      ),
    );
    await link.close();
  });

  test("a certificate is taken from who is trusted, for the name that was asked, and refused otherwise", async () => {
    const { key, cert } = await selfSigned("localhost");
    const folder = temporaryFolder();
    for (const [name, text] of Object.entries({ key, cert })) await Bun.write(join(folder, name), text);
    const files = `cert_file: ${JSON.stringify(join(folder, "cert"))}, key_file: ${JSON.stringify(join(folder, "key"))}`;
    await using server = await startNats(`tls { ${files} }\n`);
    await using plain = await startNats();
    const account = async (url: string, ca?: string) => {
      const place = { url, login: undefined, ...(ca === undefined ? {} : { ca }) };
      const link = new NatsLink({ ...loopbackConnections, place: () => place });
      try {
        return await link.call(async ({ manager, connection }) => {
          await manager.getAccountInfo();
          return (connection as unknown as { protocol: { transport: Transport } }).protocol.transport.isEncrypted();
        });
      } finally {
        await link.close();
      }
    };
    const { port } = server;
    // Also where the settings do not insist: the server does.
    for (const scheme of ["tls", "nats"]) expect(await account(`${scheme}://localhost:${port}`, cert)).toBe(true);
    const other = await selfSigned("localhost");
    const refused = [
      await told(account(`tls://localhost:${port}`)),
      await told(account(`tls://localhost:${port}`, other.cert)),
      await told(account(`tls://127.0.0.1:${port}`, cert)),
      await told(account(`tls://localhost:${port}`, "no PEM")),
    ];
    expect(refused.map(({ code }) => code)).toEqual(refused.map(() => "event_log_unavailable"));
    for (const { message } of refused) expect(message).toContain("TLS with ");
    expect(refused[0]?.message).toMatch(/certificate/i);
    expect(await account(plain.url)).toBe(false);
    expect((await told(account(plain.url.replace("nats:", "tls:")))).code).toBe("event_log_unavailable");
  });

  test("a server without JetStream is left at once, and says what it lacks", async () => {
    await using server = await startNats("", { jetStream: false });
    const open: Socket[] = [];
    const link = new NatsLink({
      ...loopbackConnections,
      open: async (to, signal) => {
        const socket = (await loopbackConnections.open(to, signal)) as Socket;
        open.push(socket);
        return socket;
      },
      place: () => ({ url: server.url, login: undefined }),
    });
    for (const _ of upTo(2)) {
      const fault = await told(link.call(async ({ manager }) => manager.getAccountInfo()));
      expect([fault.code, fault.message]).toEqual(["event_log_unavailable", expect.stringMatching(/jetstream/i)]);
    }
    expect(open.map(({ destroyed }) => destroyed)).toEqual([true, true]);
    await link.close();
  });
});

describe("what answers in place of NATS", () => {
  let fake: Server;
  let say: (socket: Socket) => void;
  beforeAll(async () => {
    fake = createServer((socket) => {
      socket.on("error", () => {});
      say(socket);
    });
    await new Promise<void>((resolve) => fake.listen(0, "127.0.0.1", resolve));
  });
  afterAll(() => fake.close());

  const first = (text: string) => (socket: Socket) => socket.write(text);
  const cases: [string, (socket: Socket) => void][] = [
    ["an INFO that is no JSON", first("INFO {bad}\r\n")],
    ["an INFO of another kind", first('INFO {"x":1}\r\n')],
    ["another protocol", first("220 mail.example.com ESMTP\r\n")],
    ["a first line without end", first("x".repeat(200_000))],
    ["nothing, and the end", (socket) => socket.end()],
  ];
  for (const [what, talk] of cases)
    test(`${what} is refused, and nothing else happens`, async () => {
      say = talk;
      const { port } = fake.address() as { port: number };
      const link = new NatsLink({
        ...loopbackConnections,
        place: () => ({ url: `nats://127.0.0.1:${port}`, login: undefined }),
      });
      expect((await refusal(link.client())).code).toBe("event_log_unavailable");
      await link.close();
    });
});

test("an address of NATS has the port that it names, and none that there cannot be", () => {
  expect(addressOf("nats://nats.lan")).toEqual({ host: "nats.lan", port: 4222, needsTls: false });
  expect(addressOf("TLS://[fd7a::1]:80")).toEqual({ host: "fd7a::1", port: 80, needsTls: true });
  const fits = ["none", "nats://nats.lan", "tls://[::1]:1", "nats://a:65535"];
  const wrong = ["nats://a:0", "nats://a:65536", "nats://u:p@a", "http://a", "nats://", "nats://a/b"];
  expect([...fits, ...wrong].filter((text) => natsShape.fits(text))).toEqual(fits);
});
