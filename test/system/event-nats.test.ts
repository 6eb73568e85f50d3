// A fleet of whole nodes that is founded with its events in a real nats-server: reached by the checked way out, over
// the loss of the leader, and moved into the replicated log.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { eventually } from "../kit/eventually.ts";
import { type Fleet, type FleetNode, startFleet } from "../kit/fleet.ts";
import { NATS_SERVER, type NatsServer, startNats } from "../kit/nats.ts";

const LOGIN = "cairn:a-password-of-a-test";

describe.skipIf(NATS_SERVER === undefined)("events in NATS [needs nats-server]", () => {
  let server: NatsServer;
  let fleet: Fleet;

  beforeAll(async () => {
    const [user, password] = LOGIN.split(":");
    server = await startNats(`authorization { user: ${user}, password: "${password}" }\n`);
    fleet = await startFleet({
      ...{ centrals: 3, edges: 1 },
      args: [
        ...["--events-log", "jetstream", "--events-nats-url", server.url, "--events-nats-credentials", "secret:NATS"],
        ...["--outbound-allow", `127.0.0.1:${server.port}`],
      ],
      env: { CAIRN_SECRET_NATS: LOGIN },
    });
  }, 300_000);

  afterAll(async () => {
    await fleet?.[Symbol.asyncDispose]();
    await server?.kill();
  }, 60_000);

  async function ask(node: FleetNode, operation: string, input: object): Promise<Record<string, unknown>> {
    const { status, body, text } = await node.call(operation, input, 40_000);
    expect([operation, status, text]).toEqual([operation, 200, text]);
    return body;
  }

  /** Waits until a node has the log of events there. */
  const isIn = (node: FleetNode, kind: string) =>
    eventually(
      `the events are in ${kind}`,
      async () => {
        const { body } = await node.call("event_log_get", {}, 10_000);
        return body["log"] === kind && body["move"] === undefined;
      },
      { withinMs: 60_000 },
    );

  test("every node publishes and reads, the loss of the leader costs nothing, and a move brings all into the fleet", async () => {
    const { leader, follower, edge } = await fleet.oneOfEach();
    await isIn(follower, "jetstream");
    const sent: string[] = [];
    const publish = (node: FleetNode, id: string) =>
      eventually(
        `the event ${id} to be taken`,
        async () => {
          const answer = await node
            .call("event_publish", { type: "loss", id, source: "x" }, 20_000)
            .catch(() => undefined);
          if (answer?.status === 200) sent.push(id);
          return answer?.status === 200 && answer.body;
        },
        { withinMs: 60_000 },
      );
    const first = await publish(follower, "f1");
    expect(first["durability"]).toBe("jetstream; replicas=1; sync=server");
    for (const node of [edge, leader])
      expect(await publish(node, `${node.name}-1`)).toMatchObject({ durability: first["durability"] });
    const page = await ask(edge, "event_wait", {
      since: first["cursor"],
      types: ["loss"],
      own: true,
      timeout_seconds: 20,
    });
    expect((page["events"] as { id: string }[])[0]?.id).toBe(`${edge.name}-1`);
    leader.kill();
    for (let at = 2; at < 10; at += 1) await Promise.all([publish(follower, `f${at}`), publish(edge, `e${at}`)]);
    await leader.restart();
    await leader.serving();
    const next = await fleet.leader();
    await ask(next, "event_log_move", { to: "fleet", dry: false });
    await Promise.all(Array.from({ length: 10 }, (_, at) => publish(follower, `m${at}`)));
    await isIn(follower, "fleet");
    await publish(edge, "last");
    await fleet.settle();
    for (const node of fleet.up(["central"])) {
      const { events } = await ask(node, "event_list", { types: ["loss"], limit: 1000 });
      expect((events as { id: string }[]).map(({ id }) => id).sort()).toEqual(sent.toSorted());
    }
    const { events } = await ask(follower, "event_list", { since: "oldest", limit: 1000 });
    const offsets = (events as { cairnposition: string }[]).map(({ cairnposition: at }) => Number(at.split("-e")[1]));
    expect(offsets).toEqual(Array.from(offsets, (_, index) => index + 1));
    expect(await ask(follower, "audit_verify", {})).toMatchObject({ ok: true });
  }, 240_000);
});
