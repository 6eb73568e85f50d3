// A copy of the source tree whose Go library has the method `panic` (build tag cairntest), so that no product build
// ever has it.

import { cpSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { host } from "../../scripts/targets.ts";

const root = dirname(dirname(import.meta.dir));

/**
 * Makes the copy in `folder` and returns the command that runs `cairn` from it. Takes half a minute when Go's cache is
 * warm.
 */
export async function panicTree(folder: string): Promise<string[]> {
  if (host === undefined) throw new Error(`cairn is not built for ${process.platform}-${process.arch}`);
  for (const part of ["src", "test/kit", "scripts"]) cpSync(join(root, part), join(folder, part), { recursive: true });
  for (const file of ["package.json", "tsconfig.json"]) cpSync(join(root, file), join(folder, file));
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  const native = join(folder, "build", "native", host.name);
  mkdirSync(native, { recursive: true });
  const tags = readFileSync(join(root, "native", "tags.txt"), "utf8").trim();
  const flags = ["-trimpath", "-mod=readonly", "-buildvcs=false", "-ldflags=-s -w -buildid="];
  const child = Bun.spawn({
    cmd: [
      ...["go", "build", "-C", join(root, "native"), ...flags, `-tags=${tags},cairntest`, "-buildmode=c-shared"],
      ...["-o", join(native, "libcairn.so"), "./cmd/lib"],
    ],
    env: { ...process.env, CGO_ENABLED: "1", GOTOOLCHAIN: "local" },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const said = await new Response(child.stderr).text();
  if ((await child.exited) !== 0) throw new Error(`the library with the tag cairntest was not built:\n${said}`);
  return [process.execPath, join(folder, "test", "kit", "panic-main.ts")];
}
