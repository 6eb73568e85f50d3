// Raft members on this machine (test/kit/raft.ts) as targets of a load, followers of their feeds, and their final
// content. No tailnet and no listeners: the log alone.

import { contextOperations } from "../../src/features/context/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { formatPosition } from "../../src/log/position.ts";
import { ANYONE } from "../../src/operation/viewer.ts";
import { eventually } from "../kit/eventually.ts";
import { DEFAULT_WRITE_LIMITS } from "../kit/limits.ts";
import { digestOfStore, type Member, startMember } from "../kit/raft.ts";
import { temporaryFolder } from "../kit/temporary.ts";
import {
  faultOf,
  foundOf,
  type ReadAsk,
  readCall,
  type Said,
  type Target,
  type WriteAsk,
  writeCall,
  writtenOf,
} from "./asks.ts";
import { hashOf } from "./documents.ts";
import { endOf, epochsOf } from "./ends.ts";
import { type Feed, placeOf, type Run, type SeenChange, tagOf } from "./history.ts";

interface KnownMembers {
  index: number;
  members: { server: string; voter: boolean }[];
}

/** How long a busy machine may need until all members are equal. */
const SETTLE_MS = 10_000;

export type MemberOptions = Omit<Parameters<typeof startMember>[0], "folder" | "bootstrap" | "peers" | "of">;

/** Starts voters; `plant` may give each one, by its number, a fault. */
export async function startMembers(
  count: number,
  plant: (at: number) => MemberOptions = () => ({}),
): Promise<Member[]> {
  const members: Member[] = [];
  for (let at = 0; at < count; at++) {
    const [of] = members;
    const more = of === undefined ? { bootstrap: true } : { of };
    members.push(await startMember({ ...plant(at), folder: temporaryFolder(), peers: members.slice(), ...more }));
  }
  const [first, ...others] = members;
  if (first === undefined) throw new Error("no members");
  await eventually("the first to lead", () => first.log.leadership().leading);
  await first.log.propose(
    commandOf({ parts: [{ operation: "put", key: "before/joining", text: "1" }], idempotencyKey: undefined }),
  );
  for (const { driver } of others) await makeVoter(members, driver.server);
  await eventually("the others to have joined", async () => {
    for (const { driver, log } of members) {
      const known = await driver.command<KnownMembers>({ do: "members" });
      if (known.members.filter(({ voter }) => voter).length !== count) return false;
      if (log.position().epoch !== first.log.position().epoch || log.position().seq < 1) return false;
    }
    return true;
  });
  return members;
}

/** Adds a server and promotes it, whoever leads: on a busy machine the leadership changes between the steps. */
async function makeVoter(members: readonly Member[], server: string): Promise<void> {
  let refused: unknown;
  await eventually(
    `${server} to be a voter`,
    async () => {
      const leader = members.find(({ log }) => log.leadership().leading);
      if (leader === undefined) return false;
      try {
        const known = await leader.driver.command<KnownMembers>({ do: "members" });
        const found = known.members.find((member) => member.server === server);
        if (found?.voter === true) return true;
        if (found === undefined) await leader.driver.command({ do: "add", server, previous: known.index });
        else await leader.driver.command({ do: "promote", server });
      } catch (error) {
        refused = error;
      }
      return false;
    },
    { seen: () => refused },
  );
}

function commandOf(ask: WriteAsk) {
  const { name, input } = writeCall(ask);
  const operation = contextOperations.find((known) => known.name === name);
  if (operation?.kind !== "write") throw new Error(`no write ${name}`);
  const prepared = operation.prepare(operation.input.parse(input), DEFAULT_WRITE_LIMITS);
  return { name, v: operation.v, input: prepared, caller: "user:a", via: "", key: ask.idempotencyKey ?? "" };
}

/** A member as clients reach it. `barrier` is what a leader read waits for; a test may plant another. */
export function memberTarget(
  member: Member,
  name: string,
  barrier: (member: Member) => Promise<void> = ({ log }) => log.barrier(),
): Target {
  const { log } = member;
  return {
    name,
    write: async (ask) => {
      try {
        const { output, position } = await log.propose(commandOf(ask));
        return { outcome: "ok", ...writtenOf(ask, output), position: placeOf(formatPosition(position)) };
      } catch (error) {
        return saidOf(ask, error);
      }
    },
    read: async (ask, signal) => {
      try {
        if (ask.consistency === "leader") await barrier(member);
        while (ask.shown !== undefined && log.position().seq < ask.shown.seq) {
          signal.throwIfAborted();
          await Bun.sleep(2);
        }
        const position = log.position();
        return { outcome: "ok", ...(await found(member, ask)), position };
      } catch (error) {
        return saidOf(ask, error);
      }
    },
  };
}

/** Runs a read on the store of a member. */
async function found({ log, store }: Member, ask: ReadAsk) {
  const { name, input } = readCall(ask);
  const operation = contextOperations.find((known) => known.name === name);
  if (operation?.kind !== "read") throw new Error(`no read ${name}`);
  const context = {
    visible: () => true,
    viewer: () => ANYONE,
    positionAt: (seq: number) => formatPosition(log.positionAt(seq)),
    reach: async (position: string) => placeOf(position)?.seq ?? 0,
  } as unknown as Parameters<typeof operation.run>[2];
  const text = name === "context_get" ? { format: "text" } : {};
  const output = await operation.run(store.reader, operation.input.parse({ ...input, ...text }), context);
  if (name !== "context_get") return foundOf(ask, output);
  return { ...tagOf(String(output["etag"])), body: hashOf(String(output["content"])) };
}

function saidOf(ask: WriteAsk | ReadAsk, error: unknown): Said {
  if (!(error instanceof Fault)) return { outcome: "fail", code: String(error), again: false };
  const { code, details } = error;
  // A position is unknown for what is not there, as over REST and MCP.
  return faultOf(ask, { ...details, code, message: error.message, retryable: code === "unavailable" }, undefined);
}

/** Follows the feed of a member until `stop`; `alter` may plant a fault in it. */
export function followMember(
  member: Member,
  name: string,
  alter: (batch: SeenChange[]) => SeenChange[] = (batch) => batch,
) {
  const since = { epoch: member.log.position().epoch, seq: member.log.position().seq };
  const cursor = member.log.changes.cursor(since.seq);
  const changes: SeenChange[] = [];
  const ending = new AbortController();
  let until = since;
  const take = () => {
    const batch = cursor.next(1000);
    const last = batch.at(-1);
    if (last !== undefined) until = { epoch: last.epoch, seq: last.seq };
    changes.push(
      ...alter(
        batch.map(({ epoch, seq, target, version, contentHash }) => ({
          epoch,
          seq,
          key: target,
          version,
          hash: contentHash.slice(0, 12),
        })),
      ),
    );
  };
  const follow = async () => {
    for (;;) {
      take();
      await cursor.wait(ending.signal);
    }
  };
  const following = follow().catch(() => {});
  return async (): Promise<Feed> => {
    ending.abort();
    await following;
    take();
    return { follower: name, since, changes, prefix: "", until };
  };
}

/**
 * Waits until all are at the same position, if they get there, and reads their content. Refusals leave no change, so
 * equal positions alone do not prove that everything is applied.
 */
export async function endOfMembers(
  members: readonly Member[],
  withinMs = SETTLE_MS,
): Promise<Pick<Run, "ends" | "epochs">> {
  const look = () => members.map(({ store }, at) => endOf(store.reader, `member ${at}`, digestOfStore(store)));
  const areEqual = () => new Set(look().map(({ seq, digest }) => `${seq} ${digest}`)).size === 1;
  await eventually("all to be equal", areEqual, { withinMs }).catch(() => {});
  const [first] = members;
  return { ends: look(), epochs: first === undefined ? [] : epochsOf(first.store.reader) };
}
