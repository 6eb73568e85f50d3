// A machine with a real systemd: this machine's files under an overlay that is thrown away, booted in namespaces of its
// own, without a network. Commands run in it as root or as another account.

import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { finished } from "../../scripts/finished.ts";
import type { Finished } from "./node.ts";

const BOOT_MS = 60_000;
const STEP_MS = 200;

/** Returns why no systemd can be booted here, or undefined. */
export function noSystemd(): string | undefined {
  if (process.platform !== "linux") return "Linux";
  if (process.getuid?.() !== 0) return "root, for mounts";
  for (const tool of ["systemd-nspawn", "nsenter", "setpriv", "mount", "pgrep"])
    if (Bun.which(tool) === null) return tool;
  if (!existsSync("/lib/systemd/systemd")) return "systemd";
  return existsSync("/usr/bin/dbus-daemon") ? undefined : "dbus";
}

export class SystemdMachine implements AsyncDisposable {
  /** Its root folder, as this process sees it. */
  readonly root: string;
  readonly #home: string;
  readonly #nspawn: Bun.Subprocess<"ignore", "ignore", "pipe">;
  #init = "";

  private constructor() {
    this.#home = mkdtempSync(join(tmpdir(), "cairn-systemd-"));
    must(["mount", "-t", "tmpfs", "tmpfs", this.#home]);
    const [upper = "", work = "", root = ""] = ["upper", "work", "root"].map((name) => join(this.#home, name));
    for (const folder of [upper, work, root]) mkdirSync(folder);
    must(["mount", "-t", "overlay", "overlay", "-o", `lowerdir=/,upperdir=${upper},workdir=${work}`, root]);
    this.root = root;
    this.#nspawn = Bun.spawn({
      cmd: [
        ...["systemd-nspawn", "--quiet", `--directory=${root}`, "--boot", "--register=no", "--keep-unit"],
        ...["--private-network", "--link-journal=no", "--console=pipe", `--machine=cairn-${process.pid}`],
        "systemd.unit=multi-user.target",
      ],
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    });
  }

  /** Boots one with this executable as /usr/local/bin/cairn. */
  static async boot(binary: string): Promise<SystemdMachine> {
    const machine = new SystemdMachine();
    try {
      copyFileSync(binary, join(machine.root, "usr/local/bin/cairn"));
      chmodSync(join(machine.root, "usr/local/bin/cairn"), 0o755);
      await machine.#booted();
      return machine;
    } catch (error) {
      await machine[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Runs a line of sh in the machine as this account. */
  async sh(line: string, account = "root"): Promise<Finished> {
    const as =
      account === "root"
        ? []
        : ["setpriv", `--reuid=${account}`, `--regid=${account}`, "--clear-groups", "--reset-env"];
    const child = Bun.spawn({
      cmd: ["nsenter", "--target", this.#init, "--all", "--", ...as, "sh", "-c", line],
      env: { PATH: "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root" },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const { out, err, code } = await finished(child);
    return { out: out.trim(), err: err.trim(), code, signal: null };
  }

  async #booted(): Promise<void> {
    const endMs = performance.now() + BOOT_MS;
    while (performance.now() < endMs && this.#nspawn.exitCode === null) {
      const found = Bun.spawnSync({ cmd: ["pgrep", "-P", String(this.#nspawn.pid)] }).stdout.toString();
      this.#init = found.trim().split("\n")[0] ?? "";
      if (this.#init !== "") {
        const { out } = await this.sh("systemctl is-system-running");
        if (out === "running" || out === "degraded") return;
      }
      await Bun.sleep(STEP_MS);
    }
    throw new Error(`systemd did not boot: ${await new Response(this.#nspawn.stderr).text()}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#nspawn.kill("SIGKILL");
    await this.#nspawn.exited;
    const init = Number(this.#init);
    // nspawn does not take its machine along when it is killed.
    if (init > 1) {
      try {
        process.kill(init, "SIGKILL");
      } catch {}
    }
    for (const path of [this.root, this.#home]) Bun.spawnSync({ cmd: ["umount", "--lazy", path] });
    rmSync(this.#home, { recursive: true, force: true });
  }
}

function must(cmd: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync({ cmd, stderr: "pipe" });
  if (exitCode !== 0) throw new Error(`${cmd.join(" ")}: ${stderr.toString()}`);
}
