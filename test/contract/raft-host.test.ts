// One suite over every RaftHost: library and sidecar, without a node, with a store that only says hello and answers
// what it is asked.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureNative } from "../../scripts/native.ts";
import { host } from "../../scripts/targets.ts";
import { Fault } from "../../src/lib/fault.ts";
import { answerFrame, FrameReader, helloFrame } from "../../src/log/engine/raft/frames.ts";
import { openTailnet, type RaftHost, type Tailnet } from "../../src/tailnet/index.ts";

async function faultOf(promise: Promise<unknown>): Promise<Fault> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof Fault)) throw new Error(`expected a Fault, got ${String(error)}`);
  return error;
}

describe.each(["library", "sidecar"] as const)("the raft host of the %s", (engine) => {
  const server = "ab".repeat(16);
  let base: string;
  let half: Tailnet & RaftHost;

  beforeAll(async () => {
    if (host === undefined) throw new Error("this machine is none that Cairn is built for");
    ensureNative(host, engine);
    base = mkdtempSync(join(tmpdir(), "cr-"));
    half = await openTailnet({ engine, dataDir: base, log: () => {} });
  }, 120_000);

  afterAll(async () => {
    await half.close();
    rmSync(base, { recursive: true, force: true });
  });

  test("opens a member before up, starts it when its store comes, and ends it", async () => {
    const socket = join(base, "raft.sock");
    const params = {
      folder: join(base, "raft"),
      socket,
      fleet: "f1",
      epoch: "e1",
      profile: "home" as const,
      members: [],
    };
    expect(await faultOf(half.raftState())).toMatchObject({ code: "unavailable", details: { tailnetCode: "not_up" } });
    const opened = await half.raftOpen({ ...params, bootstrap: true });
    expect(opened.server).toMatch(/^[0-9a-f]{32}$/);
    expect(statSync(socket).mode & 0o777).toBe(0o600);
    expect(await faultOf(half.raftOpen({ ...params, bootstrap: true }))).toMatchObject({
      details: { tailnetCode: "already_up" },
    });
    await half.raftMembers([{ server, node: "nPEER", voter: false }]);

    const { promise: welcome, resolve } = Promise.withResolvers<void>();
    const frames = new FrameReader();
    const socketClient = await Bun.connect({
      unix: socket,
      socket: {
        data(from, bytes) {
          for (const frame of frames.push(Uint8Array.from(bytes))) {
            if (frame.type === "welcome") resolve();
            if (frame.type === "ask") from.write(answerFrame(frame.request, { ok: { applied: 1, seq: 0, chain: "" } }));
          }
        },
      },
    });
    socketClient.write(helloFrame({ index: 0, term: 0, server: "" }));
    await welcome;
    const state = await half.raftState();
    expect(state).toMatchObject({
      server: opened.server,
      members: [{ server: opened.server, voter: true }],
      refused: [],
    });
    expect(await faultOf(half.raftChange({ do: "add", server, previous: state.configuration + 1 }))).toMatchObject({
      code: "version_mismatch",
      details: { tailnetCode: "changed" },
    });
    await half.raftClose();
    await half.raftClose();
    expect(await faultOf(half.raftState())).toMatchObject({ details: { tailnetCode: "not_up" } });
  });
});
