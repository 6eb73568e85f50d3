// Joining without a network: a joiner, and a leader whose log is a real store, over a link that the test controls.

import type { Caller } from "../../src/access/caller.ts";
import { MIGRATIONS } from "../../src/features/index.ts";
import { ABOUT, type About } from "../../src/fleet/about.ts";
import { drawSecret, fleetCommands, hashOf, openMembers, type Ticket } from "../../src/fleet/index.ts";
import { Admission, joinRequest } from "../../src/fleet/join/admit.ts";
import { type JoinerOptions, joinFleet } from "../../src/fleet/join/joiner.ts";
import { Fault } from "../../src/lib/fault.ts";
import { DirectLog } from "../../src/log/engine/direct/index.ts";
import { KNOWN_LEVEL } from "../../src/log/level.ts";
import { Conditions } from "../../src/observe/conditions.ts";
import { applierOf } from "../../src/operation/registry.ts";
import { Store } from "../../src/store/store.ts";
import type { Peer } from "../../src/tailnet/index.ts";
import { callerWith } from "./core.ts";
import { temporaryFolder } from "./temporary.ts";

/** A device of the tailnet. */
export function peer(id: string, name: string, more: Partial<Peer> = {}): Peer {
  return {
    id,
    hostname: name,
    dnsName: `${name}.example.ts.net`,
    ips: [`100.64.0.${id.length}`],
    tags: [],
    login: "",
    userId: "1",
    os: "linux",
    online: true,
    lastSeen: null,
    path: "direct",
    relay: "",
    expired: false,
    shared: false,
    ...more,
  };
}

/** The world of one test: devices that respond, and the caller that each one is. */
export class World {
  readonly answers = new Map<string, (path: string, value: unknown, caller: Caller) => unknown>();
  readonly peers: Peer[] = [];
  /** Requests so far: `path of device`. */
  readonly asked: string[] = [];

  add(id: string, name: string, answer: (path: string, value: unknown, caller: Caller) => unknown): void {
    this.peers.push(peer(id, name));
    this.answers.set(id, answer);
  }

  link(caller: Caller): JoinerOptions["link"] {
    return {
      call: async ({ node }, path, value) => {
        this.asked.push(`${path} ${node}`);
        const answer = this.answers.get(node);
        if (answer === undefined) throw new Fault("unavailable", "nobody there", { facts: { outcome: "not_sent" } });
        // Over the wire everything becomes plain values.
        return structuredClone(await answer(path, structuredClone(value), caller));
      },
    };
  }
}

/** A fleet of one with a real store, responding as its leader. */
export function startLeader(world: World, id = "nLEAD", fleet = "home") {
  const folder = temporaryFolder();
  const store = Store.open({ folder, migrations: MIGRATIONS, log: () => {} });
  let nowMs = Date.parse("2026-01-01T00:00:00Z");
  const log = new DirectLog({
    store,
    apply: applierOf(fleetCommands),
    nowMs: () => nowMs,
    onFatal: (error) => {
      throw error;
    },
  });
  const members = openMembers(store.reader, log.changes);
  const fleetId = store.reader.get<{ value: string }>("SELECT value FROM meta WHERE key = 'fleet_id'")?.value ?? "";
  const run = async (name: string, input: Record<string, unknown>) => {
    const operation = fleetCommands.find((each) => each.name === name);
    if (operation?.kind !== "write") throw new Error(name);
    const prepared = operation.prepare(operation.input.parse(input), undefined as never);
    return (await log.propose({ name, v: 1, input: prepared, caller: "local", via: "", key: "" })).output;
  };
  let leading = true;
  let proposed = 0;
  let atBarrier: (() => Promise<unknown>) | undefined;
  const about = (): About => ({
    fleetId,
    fleet,
    epoch: log.position().epoch,
    profile: "home",
    role: "central",
    leader: id,
    size: 1,
    version: "1",
    level: KNOWN_LEVEL,
  });
  const admission = new Admission({
    reader: store.reader,
    members,
    propose: (command) => {
      proposed += 1;
      return log.propose(command);
    },
    barrier: async () => {
      await atBarrier?.();
    },
    nowMs: () => nowMs,
    leading: () => leading,
    leader: () => ({ node: id, name: "lead" }),
    self: () => id,
    fleet: () => ({ fleet, fleetId, epoch: log.position().epoch, profile: "home" }),
    joinRoles: (caller) => (caller.tags.includes("tag:edge") ? ["edge"] : []),
    survives: () => "No voter may fail.",
  });
  world.add(id, "lead", (path, value, caller) =>
    path === ABOUT ? about() : admission.handle(caller, joinRequest.parse(value)),
  );
  return {
    id,
    fleetId,
    admission,
    members,
    run,
    about,
    begin: () =>
      run("fleet_begin", {
        fleet,
        profile: "home",
        node: id,
        server: "s-lead",
        name: "lead",
        version: "1",
        level: KNOWN_LEVEL,
      }),
    ticket: async (role: Ticket["role"], more: Record<string, unknown> = {}): Promise<Ticket> => {
      const secret = drawSecret();
      await run("fleet_ticket_create", { hash: hashOf(secret), role, ...more });
      return { role, fleetId, secret };
    },
    wait: (ms: number) => {
      nowMs += ms;
    },
    lead: (now: boolean) => {
      leading = now;
    },
    /** What it has not applied yet when it begins to lead. */
    owes: (work: () => Promise<unknown>) => {
      atBarrier = work;
    },
    /** Commands that it proposed for joiners. */
    proposed: () => proposed,
  };
}

/** A device that looks for a fleet and asks to join. */
export function joiner(world: World, more: Partial<JoinerOptions> & { node?: string; tags?: string[] } = {}) {
  const { node = "nNEW", tags = [], ...options } = more;
  const lines: string[] = [];
  const opened: string[] = [];
  const conditions = new Conditions(() => {});
  const stop = new AbortController();
  const caller = callerWith({ id: node, kind: tags.length > 0 ? "tagged" : "user", tags });
  const done = joinFleet(
    {
      link: world.link(caller),
      peers: async () => world.peers,
      host: "auto",
      fleet: "home",
      role: undefined,
      ticket: undefined,
      name: () => "new",
      version: "1",
      level: KNOWN_LEVEL,
      conditions,
      stepMs: 5,
      serverFor: async ({ fleetId }) => {
        opened.push(fleetId);
        return `s-${node}`;
      },
      say: (line) => lines.push(line),
      ...options,
    },
    stop.signal,
  );
  done.catch(() => {});
  const until = async (text: string) => {
    for (let count = 0; count < 400; count += 1) {
      if (lines.some((line) => line.includes(text))) return;
      await Bun.sleep(5);
    }
    throw new Error(`never said ${text}: ${lines.join(" / ")}`);
  };
  const end = async () => {
    stop.abort();
    await done.catch(() => {});
  };
  return { done, lines, opened, conditions, until, end };
}
