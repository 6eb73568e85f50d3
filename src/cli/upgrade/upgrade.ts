// cairn upgrade: replaces this executable by a newer one that is checked first, restarts its node, and takes the
// earlier one back where the node is not ready in time.

import { buildInfo } from "../../config/build-info.ts";
import { Fault } from "../../lib/fault.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { lockHolder } from "../../store/lock.ts";
import { dataDirOf, isReady } from "../client.ts";
import { type Command, countOption, type Invocation, isSet, textOption } from "../command.ts";
import { NEGATIVE_EXIT } from "../exit.ts";
import { say, showResult } from "../output.ts";
import { type Condition, leaderKnown, takesCalls } from "../wait/conditions.ts";
import { waitFor } from "../wait/wait.ts";
import { Executable, isOlder, type Version } from "./executable.ts";
import { refuseInside } from "./inside.ts";
import { lockExecutable } from "./lock.ts";
import { findManager, type Manager } from "./node-manager.ts";
import { openRelease } from "./release.ts";
import { NO_TURN, takeTurn } from "./turn.ts";
import { copyBefore, nameOf, ownVersion, raisedTo, refuseUnreadable, type StateCopy, stepsBack } from "./way-back.ts";

const WAIT_SECONDS = 900;
const READY_SECONDS = 120;

/** `cairn upgrade`. */
export const upgrade: Command = {
  words: ["upgrade"],
  summary: "replace this executable by a newer one that is checked first, and restart its node",
  more: `FROM is the folder or https address of a release, a file, or blob:SPACE/SHA256 of the fleet (cairn blob put). Checked are
the SHA-256 in SHA256SUMS, with --key its Ed25519 signature, and that the file runs here. The node of the data folder is
restarted by its service (cairn service install); where it is not ready in time, the earlier executable comes back and
runs. Where the new version may migrate the state, the node makes a backup of it before. In a fleet the members take
turns: start this on all of them, the one that leads waits for the others.
Examples:
  cairn upgrade https://example.com/cairn/1.2.0 --key /etc/cairn/release.pem
  cairn upgrade ./cairn-linux-arm64 --sha256 9f86…
  cairn upgrade --rollback`,
  args: [{ name: "[FROM]", help: "where the newer executable is" }],
  options: [
    { flags: "--key <file>", help: "public Ed25519 key (PEM): the checksums must have its signature", offers: "files" },
    { flags: "--sha256 <hex>", help: "the SHA-256 that was published" },
    { flags: "--check", help: "check it and say what would be done; exits 3 when there is nothing newer" },
    { flags: "--rollback", help: "put the earlier executable back" },
    { flags: "--allow-downgrade", help: "also where its version is older" },
    { flags: "--without-copy", help: "make no copy of the state, also where the new version may migrate it" },
    { flags: "--alone", help: "restart the node without waiting for a turn in the fleet" },
    { flags: "--wait <seconds>", help: `how long to wait for the turn (default ${WAIT_SECONDS})` },
    {
      flags: "--ready-timeout <seconds>",
      help: `how long the node may need until it is ready (default ${READY_SECONDS})`,
    },
    { flags: "--data <dir>", help: "data folder of the node that runs this executable" },
    { flags: "--json", help: "print JSON" },
  ],
  async run(invocation) {
    const stop = new AbortController();
    const interrupted = () => stop.abort(new Fault("cancelled", "Interrupted; nothing was changed"));
    for (const signal of SIGNALS) process.on(signal, interrupted);
    try {
      return await upgradeBy(invocation, stop.signal);
    } finally {
      for (const signal of SIGNALS) process.off(signal, interrupted);
    }
  },
};

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

async function upgradeBy(invocation: Invocation, signal: AbortSignal): Promise<number> {
  const [from] = invocation.args;
  const isRollback = isSet(invocation, "rollback");
  if (isRollback === (from !== undefined))
    throw new Fault("invalid_input", isRollback ? "--rollback takes no FROM" : "FROM is missing", {
      hint: "cairn upgrade FROM puts a newer executable in place, cairn upgrade --rollback the earlier one.",
    });
  const times = {
    waitMs: 1000 * (countOption(invocation, "wait", "--wait") ?? WAIT_SECONDS),
    readyMs: 1000 * (countOption(invocation, "readyTimeout", "--ready-timeout", 1) ?? READY_SECONDS),
  };
  const executable = Executable.own();
  await executable.refuseOwned();
  using _lock = isSet(invocation, "check") ? undefined : lockExecutable(executable.path);
  if (Executable.isInContainer) say("this is a container: what is changed in its image is gone with it");
  if (from === undefined) {
    const earlier = await executable.previous();
    return exchange(
      invocation,
      { executable, to: earlier, put: async () => executable.putBack(), sha256: "", isSigned: false },
      times,
      signal,
    );
  }
  const named = { from, keyFile: textOption(invocation, "key"), sha256: textOption(invocation, "sha256"), invocation };
  const release = await openRelease(named, `${process.platform}-${process.arch}`, signal);
  const before = await executable.sha256();
  if (release.sha256 === before) {
    await showResult(
      invocation,
      { ...resultOf(executable, buildInfo), changed: false },
      `${executable.path} is that file already\n`,
    );
    return isSet(invocation, "check") ? NEGATIVE_EXIT : 0;
  }
  await using staged = await executable.stage((path) => release.write(path, signal));
  if (isOlder(staged.version, buildInfo.version) && !isSet(invocation, "allowDowngrade"))
    throw new Fault("invalid_input", `${release.place} is ${staged.version}, older than ${buildInfo.version}`, {
      hint: "An older version may not read what this one wrote. --allow-downgrade does it, --rollback goes back one step.",
    });
  const put = async () => {
    // The turn may have been waited for, and another command may run beside this one.
    if ((await executable.sha256()) !== before)
      throw new Fault("unavailable", `${executable.path} was changed meanwhile, by another upgrade`, {
        hint: "Nothing was changed by this one. See cairn version, and start it again where it is still needed.",
      });
    executable.put(staged.path);
  };
  // Awaited here: what is staged is removed when this function ends.
  return await exchange(
    invocation,
    { executable, to: staged, put, sha256: release.sha256, isSigned: release.isSigned },
    times,
    signal,
  );
}

interface Exchange {
  executable: Executable;
  to: Version;
  put: () => Promise<void>;
  sha256: string;
  isSigned: boolean;
}

interface Times {
  waitMs: number;
  readyMs: number;
}

async function exchange(asked: Invocation, made: Exchange, times: Times, signal: AbortSignal): Promise<number> {
  const { executable, to, put, sha256, isSigned } = made;
  const dataDir = dataDirOf(asked);
  // The node of this data folder, and none that CAIRN_URL names.
  const invocation = { ...asked, options: { ...asked.options, data: dataDir } };
  const { held, pid } = lockHolder(dataDir);
  const manager = held && pid !== undefined ? await findManager(pid, invocation.env) : undefined;
  const shown = { ...resultOf(executable, to), sha256, signed: isSigned };
  const step = `${executable.path} from ${nameOf(ownVersion)} to ${nameOf(to)}`;
  if (isSet(invocation, "check")) {
    const node = manager !== undefined ? "its node would be restarted" : held ? restartYourself(pid) : "no node runs";
    await showResult(invocation, { ...shown, changed: false }, `would change ${step}; ${node}\n`);
    return 0;
  }
  if (manager !== undefined && pid !== undefined) await refuseInside(pid);
  if (held && isSet(invocation, "rollback")) refuseUnreadable(dataDir, to, executable.path);
  if (manager === undefined) {
    const copy = await copyBefore(invocation, { dataDir, to, isRunning: held }, signal);
    signal.throwIfAborted();
    await put();
    const node = held ? restartYourself(pid) : `no node runs with the data folder ${dataDir}`;
    await showResult(
      invocation,
      { ...shown, changed: true, restarted: false, copy: copy ?? null },
      `changed ${step}; ${node}\n`,
    );
    return 0;
  }
  const isAlone = isSet(invocation, "alone");
  const turn = isAlone ? NO_TURN : await takeTurn(invocation, { version: to.version, waitMs: times.waitMs, signal });
  let copy: StateCopy | undefined;
  try {
    copy = await copyBefore(invocation, { dataDir, to, isRunning: true }, signal);
    // A node that waits for a login, or for its fleet, waits for it afterwards too.
    const wasReady = await isReady(invocation, { signal });
    signal.throwIfAborted();
    turn.throwIfLost();
    await put();
    await restartOrTakeBack(invocation, { executable, manager, to, readyMs: times.readyMs, wasReady, dataDir, copy });
  } finally {
    await turn.end();
  }
  await showResult(
    invocation,
    { ...shown, changed: true, restarted: true, copy: copy ?? null },
    `changed ${step}; its node was restarted\n`,
  );
  return 0;
}

function resultOf({ path, previousPath }: Executable, { version, commit }: Version) {
  const from = { version: buildInfo.version, commit: buildInfo.commit };
  return { schema: 1, path, previous: previousPath, from, to: { version, commit } };
}

function restartYourself(pid: number | undefined): string {
  return `no service of this machine runs the node${pid === undefined ? "" : ` (pid ${pid})`}: restart it yourself`;
}

interface Restart {
  executable: Executable;
  manager: Manager;
  to: Version;
  readyMs: number;
  /** Whether the node took calls before. */
  wasReady: boolean;
  dataDir: string;
  copy: StateCopy | undefined;
}

/** From here on no signal is heard: half an upgrade would be worse than a late end. */
async function restartOrTakeBack(invocation: Invocation, restart: Restart): Promise<void> {
  const { executable, to } = restart;
  const why = await problemOfRestart(invocation, restart, to);
  if (why === undefined) return;
  say(`${nameOf(to)} is not ready: ${why}`);
  const raised = raisedTo(restart.dataDir);
  if (raised !== undefined)
    throw new Fault(
      "not_running",
      `${nameOf(to)} is not ready: ${why}. It stays, since it has raised the state to level ${raised}, which ` +
        `${nameOf(ownVersion)} does not read`,
      { hint: `See the log of the node first. ${stepsBack(executable.path, restart.copy)}` },
    );
  try {
    executable.putBack();
  } catch (cause) {
    throw new Fault(
      "internal",
      `${executable.path} is ${nameOf(to)}, whose node is not ready, and stays: ${reasonOf(cause)}`,
      {
        hint: `Put ${executable.previousPath} in its place by hand, and restart the node.`,
        cause,
      },
    );
  }
  const again = await problemOfRestart(invocation, restart, buildInfo);
  const now =
    again === undefined ? `${nameOf(ownVersion)} is back and ready` : `${nameOf(ownVersion)} is back, and ${again}`;
  throw new Fault("not_running", `The upgrade to ${nameOf(to)} was taken back: ${why}. ${now}`, {
    hint: "See the log of the node (journalctl -u cairn), and whether its data needs a newer step first.",
  });
}

/** Restarts the node and waits until it serves as this version. Returns why it does not. */
async function problemOfRestart(
  invocation: Invocation,
  { manager, readyMs, wasReady }: Restart,
  { version, commit }: Version,
): Promise<string | undefined> {
  try {
    await manager.restart();
  } catch (error) {
    return reasonOf(error);
  }
  const isNew: Condition = ({ report }) =>
    report.version === version && report.commit === commit ? undefined : `the node still is ${report.version}`;
  const wanted = { conditions: wasReady ? [isNew, takesCalls, leaderKnown] : [isNew], position: undefined };
  try {
    const missing = await waitFor(invocation, wanted, { timeoutMs: readyMs, signal: new AbortController().signal });
    return missing.length === 0 ? undefined : `${missing.join("; ")} after ${readyMs / 1000} s`;
  } catch (error) {
    return reasonOf(error);
  }
}
