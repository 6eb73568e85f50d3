// A container engine, as far as the image needs one: a read-only root with the executable, a shell and their libraries,
// a mount namespace, volumes, a secret, only the variables of image and service, and the image's uid without
// capabilities. The network is the machine's.

import { chmodSync, chownSync, cpSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { finished, type Output } from "../../scripts/finished.ts";
import { dockerfile, imageEnvironment, madeFoldersOf, type Service, stringsOf } from "./image.ts";

/** Returns why there can be no containers here, or undefined. */
export function noContainers(): string | undefined {
  if (process.platform !== "linux") return "Linux";
  if (process.getuid?.() !== 0) return "root, for mounts";
  for (const tool of ["unshare", "nsenter", "mount", "ldd", "sh"]) if (Bun.which(tool) === null) return tool;
  const tried = Bun.spawnSync({ cmd: ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], stderr: "pipe" });
  return tried.exitCode === 0 ? undefined : `mounts (${tried.stderr.toString().trim()})`;
}

export class Image {
  readonly uid: number;
  readonly #home: string;
  readonly #root: string;
  readonly #folders: readonly string[];
  readonly #environment: Record<string, string>;
  readonly #entrypoint: readonly string[];
  readonly #health: readonly string[];

  /** `home` is an empty folder of the test. */
  constructor(home: string, binary: string, secrets: Readonly<Record<string, string>>) {
    const { all } = dockerfile();
    this.#home = home;
    this.#root = join(home, "root");
    this.uid = Number(all("USER", "final")[0]?.split(":")[0]);
    this.#folders = madeFoldersOf(all);
    this.#environment = { PATH: "/usr/local/bin:/bin", ...imageEnvironment(all) };
    this.#entrypoint = stringsOf(all("ENTRYPOINT")[0]);
    this.#health = stringsOf(/CMD (\[.*\])$/.exec(all("HEALTHCHECK")[0] ?? "")?.[1]);
    for (const folder of ["proc", "dev", "tmp", "run/secrets", ...this.#folders.map((path) => path.slice(1))])
      mkdirSync(join(this.#root, folder), { recursive: true });
    for (const path of this.#folders) {
      chownSync(join(this.#root, path), this.uid, this.uid);
      chmodSync(join(this.#root, path), 0o700);
    }
    this.#copy(binary, "/usr/local/bin/cairn");
    this.#copy(Bun.which("sh") ?? "", "/bin/sh");
    for (const [name, value] of Object.entries(secrets)) {
      writeFileSync(join(this.#root, "run/secrets", name), value);
      chmodSync(join(this.#root, "run/secrets", name), 0o444);
    }
  }

  /** Starts a service; `more` are arguments after its command, `env` further variables. */
  start(service: Service, more: readonly string[], env: Readonly<Record<string, string>>): Container {
    const words = [
      ...(service.entrypoint ?? this.#entrypoint),
      ...service.command.map((word) => word.replaceAll("$$", "$")),
      ...more,
    ];
    const mounts = service.volumes.map((volume) => {
      const [name = "", target = "", mode] = volume.split(":");
      return `mount --bind '${this.volume(name)}' '${this.#root}${target}'${mode === "ro" ? ` && mount -o remount,bind,ro '${this.#root}${target}'` : ""}`;
    });
    const script = [
      `mount --bind '${this.#root}' '${this.#root}'`,
      `mount -o remount,bind,ro '${this.#root}'`,
      `mount -t tmpfs -o noexec,nosuid,nodev,mode=1777 tmpfs '${this.#root}/tmp'`,
      `mount --rbind /proc '${this.#root}/proc'`,
      `mount --rbind /dev '${this.#root}/dev'`,
      ...mounts,
      `exec unshare --root='${this.#root}' --wd=/ --setgid=${this.uid} --setuid=${this.uid} "$@"`,
    ].join(" && ");
    const environment = { ...this.#environment, ...service.environment, ...env };
    const child = Bun.spawn({
      cmd: ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script, "sh", ...words],
      env: { ...environment, PATH: `${environment["PATH"]}:/usr/bin:/usr/sbin:/sbin` },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    return new Container(child, environment, this.uid, this.#health);
  }

  /** Returns the folder of a named volume; made as an engine does, for the image's user. */
  volume(name: string): string {
    const folder = join(this.#home, "volumes", name);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    chmodSync(folder, 0o700);
    chownSync(folder, this.uid, this.uid);
    return folder;
  }

  #copy(file: string, to: string): void {
    const target = join(this.#root, to);
    mkdirSync(dirname(target), { recursive: true });
    cpSync(file, target, { dereference: true });
    chmodSync(target, 0o755);
    const { stdout } = Bun.spawnSync({ cmd: ["ldd", file] });
    for (const [, library = ""] of stdout.toString().matchAll(/(?:=> )?(\/\S+) \(0x/g)) {
      const beside = join(this.#root, library);
      mkdirSync(dirname(beside), { recursive: true });
      cpSync(library, beside, { dereference: true });
    }
  }
}

export class Container {
  out = "";
  err = "";
  readonly #child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #environment: Record<string, string>;
  readonly #uid: number;
  readonly #health: readonly string[];
  readonly #read: Promise<unknown>;

  constructor(
    child: Bun.Subprocess<"ignore", "pipe", "pipe">,
    environment: Record<string, string>,
    uid: number,
    health: readonly string[],
  ) {
    this.#child = child;
    this.#environment = environment;
    this.#uid = uid;
    this.#health = health;
    const follow = async (stream: ReadableStream<Uint8Array>, into: "out" | "err"): Promise<void> => {
      for await (const chunk of stream) this[into] += new TextDecoder().decode(chunk);
    };
    this.#read = Promise.all([follow(child.stdout, "out"), follow(child.stderr, "err")]);
  }

  get pid(): number {
    return this.#child.pid;
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Runs a command inside, as `docker exec` does. */
  async exec(words: readonly string[]): Promise<Output> {
    const as = [`--setgid=${this.#uid}`, `--setuid=${this.#uid}`];
    const child = Bun.spawn({
      cmd: ["nsenter", `--target=${this.#child.pid}`, "--mount", "--root", "--wd", ...as, ...words],
      env: { ...this.#environment, PATH: `${this.#environment["PATH"]}:/usr/bin:/usr/sbin` },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    return finished(child);
  }

  /** Runs the image's health check. */
  async isHealthy(): Promise<boolean> {
    return !this.ended && (await this.exec(this.#health)).code === 0;
  }

  async exited(): Promise<number> {
    await this.#read;
    return this.#child.exited;
  }

  /** Sends the image's stop signal. */
  async stop(): Promise<number> {
    const [signal = "SIGTERM"] = dockerfile().all("STOPSIGNAL");
    if (!this.ended) this.#child.kill(signal as NodeJS.Signals);
    return this.exited();
  }
}
