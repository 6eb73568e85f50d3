// A core with blobs, and members of its fleet that hold copies: their peer paths are called as the peer server would.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BLOBS, BlobSweep, Blobs, blobConditions, blobFeature, KeepCopies } from "../../src/features/blob/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { sha256Hex } from "../../src/lib/sha256.ts";
import { Conditions } from "../../src/observe/conditions.ts";
import type { BlobLimits } from "../../src/operation/define.ts";
import { operationsOf } from "../../src/operation/derive.ts";
import { FULL_MEMBERS, type FullMembers, LOG, NODE } from "../../src/operation/node-parts.ts";
import { Services } from "../../src/operation/services.ts";
import type { PeerMember } from "../../src/peer/server.ts";
import { type CoreOptions, startCore } from "./core.ts";
import { DEFAULT_WRITE_LIMITS } from "./limits.ts";

const FULL: PeerMember = { role: "central", spaces: [], server: "s" };

/** What a member of the test's fleet is, and what is wrong with it. */
export class BlobMember {
  readonly blobs: Blobs;
  readonly folder = mkdtempSync(join(tmpdir(), "cairn-blobs-"));
  isAway = false;
  /** Fails so many calls for a part, after they were asked. */
  cutParts = 0;
  /** Changes bytes that it gives. */
  isDamaged = false;
  /** Calls for parts that it was asked. */
  parts: number[] = [];
  readonly name: string;

  constructor(name: string, fleet: ReadonlyMap<string, BlobMember>, nowMs: () => number) {
    this.name = name;
    const members: FullMembers = {
      self: () => name,
      others: () =>
        [...fleet.values()].filter((each) => each !== this).map((each) => ({ node: each.name, name: each.name })),
      ask: async (node, path, value) => {
        const other = fleet.get(node);
        if (other === undefined || other.isAway || this.isAway) throw away(node);
        return other.answer(path, value);
      },
      open: () => Promise.reject(away(this.name)),
      followed: () => undefined,
      openSocket: () => Promise.reject(away(this.name)),
      callerOf: () => Promise.reject(away(this.name)),
    };
    this.members = members;
    this.blobs = new Blobs({ data: this.folder, members, nowMs });
  }

  readonly members: FullMembers;

  async answer(path: string, value: unknown, member = FULL): Promise<unknown> {
    const services = new Services().provide(BLOBS, this.blobs);
    const handler = blobFeature.peerPaths?.(services)[path];
    if (handler === undefined) throw new Error(`no path ${path}`);
    const input = handler.schema.parse(value);
    if (path === "blob_part") {
      this.parts.push(input.offset);
      if (this.cutParts > 0) {
        this.cutParts -= 1;
        throw away(this.name);
      }
    }
    const answer = await handler.handle({
      ...{ caller: undefined as never, node: "other", member, input },
      signal: new AbortController().signal,
    });
    if (path !== "blob_part" || !this.isDamaged) return answer;
    const { data } = answer as { data: Uint8Array };
    return { data: data.map((byte) => byte ^ 1) };
  }
}

function away(node: string): Fault {
  return new Fault("unavailable", `The node ${node} does not answer`);
}

/** Returns bytes that differ by their seed, and their hash. */
export function sampleBlob(bytes: number, seed = 1): { data: Buffer; sha256: string } {
  const data = Buffer.alloc(bytes);
  for (let at = 0, state = seed; at < bytes; at += 1) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    data[at] = state >>> 16;
  }
  return { data, sha256: sha256Hex(data) };
}

/** Starts a core with blobs whose leader is `a`, with the further members. */
export function startBlobs(
  further: readonly string[] = [],
  { limits = {}, ...options }: { limits?: Partial<BlobLimits> } & Omit<CoreOptions, "limits"> = {},
) {
  const nowMs = options.nowMs ?? Date.now;
  const fleet = new Map<string, BlobMember>();
  for (const name of ["a", ...further]) fleet.set(name, new BlobMember(name, fleet, nowMs));
  const leader = fleet.get("a") as BlobMember;
  const services = new Services().provide(BLOBS, leader.blobs).provide(FULL_MEMBERS, leader.members);
  const features = [contextFeature, blobFeature];
  // The caller may change them later.
  const writeLimits = {
    ...DEFAULT_WRITE_LIMITS,
    blobs: Object.assign(limits, { ...DEFAULT_WRITE_LIMITS.blobs, ...limits }),
  };
  const core = startCore({ ...options, features, operations: operationsOf(features, services), limits: writeLimits });
  const conditions = new Conditions(() => {}, nowMs, blobConditions);
  services
    .provide(LOG, core.log)
    .provide(NODE, { settings: {} as never, store: core.store, conditions, limits: () => writeLimits, nowMs });
  const keep = new KeepCopies({
    ...{ blobs: leader.blobs, members: leader.members, reader: core.store.reader, log: () => core.log },
    ...{ conditions: conditions.of(blobConditions), say: () => {}, nowMs },
  });
  const sweepOf = (name: string) =>
    new BlobSweep({
      ...{ blobs: (fleet.get(name) as BlobMember).blobs, reader: core.store.reader, history: () => core.log },
      ...{ log: () => {}, nowMs },
    });
  const stop = async () => {
    for (const { blobs } of fleet.values()) await blobs.stop();
    await core.close();
    for (const { folder } of fleet.values()) rmSync(folder, { recursive: true, force: true });
  };
  /** Puts a blob in parts, as cairn blob put does. */
  const put = async (data: Buffer, extra: Record<string, unknown> = {}, caller?: Parameters<typeof core.call>[2]) => {
    const asked = { space: "team-a", sha256: sha256Hex(data), bytes: data.byteLength, ...extra };
    let state = await core.call(
      "blob_put",
      { ...asked, offset: 0, data: data.subarray(0, 4 << 20).toString("base64") },
      caller,
    );
    while (state["stored"] !== true) {
      const offset = Number(state["received"]);
      const part = data.subarray(offset, offset + (4 << 20));
      const next = part.byteLength === 0 ? {} : { offset, data: part.toString("base64") };
      state = await core.call("blob_put", { ...asked, ...next }, caller);
    }
    return state;
  };
  return { ...core, fleet, leader, services, conditions, keep, sweepOf, put, [Symbol.asyncDispose]: stop };
}
