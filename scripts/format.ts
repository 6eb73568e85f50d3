// npm run format: formats TypeScript, JSON and Go, and writes the generated pages.

import { dirname, join } from "node:path";
import { writeGenerated } from "./generate.ts";

const root = dirname(import.meta.dir);
writeGenerated();
const commands = [
  [join(root, "node_modules/.bin/biome"), "check", "--write", "."],
  ["gofmt", "-w", "native"],
];
let worst = 0;
for (const cmd of commands) {
  if (Bun.which(cmd[0] ?? "") === null) continue;
  const code = await Bun.spawn({ cmd, cwd: root, stdio: ["ignore", "inherit", "inherit"] }).exited;
  worst ||= code;
}
process.exit(worst);
