// Entry of every npm command, in plain Node: installs what a fresh clone lacks (npm packages, and with them Bun),
// prints that, then runs scripts/<command>.ts with Bun.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [command = "", ...args] = process.argv.slice(2);
const script = join(root, "scripts", `${command}.ts`);
if (!/^[a-z-]+$/.test(command) || !existsSync(script)) {
  console.error(`run.mjs: no command "${command}"; see "scripts" in package.json`);
  process.exit(2);
}

const lock = createHash("sha256")
  .update(readFileSync(join(root, "package-lock.json")))
  .digest("hex");
const stamp = join(root, "node_modules", ".cairn-lock");
if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== lock) {
  console.error("cairn: installing npm packages (npm ci, install scripts off) …");
  const result = spawnSync("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    stdio: ["ignore", 2, 2],
  });
  if (result.status !== 0) {
    console.error("cairn: npm ci failed; is the npm registry reachable?");
    process.exit(result.status ?? 1);
  }
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, lock);
}

const os = process.platform === "darwin" ? "darwin" : "linux";
const arch = process.arch === "arm64" ? "aarch64" : "x64";
const bun = [`bun-${os}-${arch}`, `bun-${os}-${arch}-baseline`]
  .map((name) => join(root, "node_modules", "@oven", name, "bin", "bun"))
  .find((file) => existsSync(file));
if (bun === undefined) {
  console.error(
    `cairn: no Bun for ${process.platform}-${process.arch} among the npm packages; supported are linux-x64, linux-arm64 and darwin-arm64`,
  );
  process.exit(1);
}
const child = spawn(bun, [script, ...args], {
  cwd: process.env.INIT_CWD ?? process.cwd(),
  stdio: "inherit",
  env: { ...process.env, CAIRN_ROOT: root },
});
// On a terminal Ctrl-C reaches the child by itself; a second signal from here would mean "now, without draining".
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
  process.on(signal, () => (signal === "SIGINT" && process.stdin.isTTY ? undefined : child.kill(signal)));
child.on("error", (error) => {
  console.error(`cairn: ${error.message}`);
  process.exit(1);
});
child.on("exit", (code, signal) => {
  if (signal === "SIGILL" && arch === "x64")
    console.error("cairn: Bun needs a processor with SSE4.2 (x86-64-v2); a virtual machine needs the CPU type `host`");
  process.exit(code ?? 128 + (constants.signals[signal] ?? 0));
});
