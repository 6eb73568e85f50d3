// The bundle that tests start nodes from.
import { expect, test } from "bun:test";
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../kit/temporary.ts";

const ROOT = join(import.meta.dir, "..", "..");
const DAY_MS = 24 * 60 * 60 * 1000;

/** A tree whose program prints two texts, and where it looks for its files. */
function tree(): string {
  const folder = temporaryFolder();
  for (const name of ["src/inner", "scripts"]) mkdirSync(join(folder, name), { recursive: true });
  for (const name of ["package.json", "package-lock.json", "tsconfig.json"])
    copyFileSync(join(ROOT, name), join(folder, name));
  cpSync(join(ROOT, "scripts"), join(folder, "scripts"), { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
  writeFileSync(join(folder, "src/main.ts"), 'import { where } from "./inner/where.ts";\nconsole.log("one", where);\n');
  writeFileSync(join(folder, "src/inner/where.ts"), "export const where = import.meta.dir;\n");
  return folder;
}

async function bundleOf(folder: string): Promise<string> {
  const program = `import { ensureBundle } from ${JSON.stringify(join(folder, "scripts/bundle.ts"))};
    process.stdout.write(await ensureBundle());`;
  const child = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe", stderr: "inherit", cwd: folder });
  const path = await new Response(child.stdout).text();
  expect(await child.exited).toBe(0);
  return path;
}

const said = (path: string) => Bun.spawnSync([process.execPath, path]).stdout.toString();

test("a bundle runs as the sources do, is kept while they are the same, and another is made when they change", async () => {
  const folder = tree();
  const first = await bundleOf(folder);
  expect(said(first)).toBe(`one ${join(folder, "src", "inner")}\n`);
  expect(readdirSync(join(folder, "build/bundle")).toSorted()).toEqual([`${nameOf(first)}`, `${nameOf(first)}.jsc`]);
  expect(await bundleOf(folder)).toBe(first);

  const main = join(folder, "src/main.ts");
  writeFileSync(main, readFileSync(main, "utf8").replace("one", "two"));
  const second = await bundleOf(folder);
  expect(said(second)).toStartWith("two ");
  expect(said(first)).toStartWith("one ");

  // After a day nothing runs from it any more; the second one is used again, however old it is.
  const old = new Date(Date.now() - 2 * DAY_MS);
  for (const name of [first, `${first}.jsc`, second, `${second}.jsc`]) utimesSync(name, old, old);
  expect(await bundleOf(folder)).toBe(second);
  writeFileSync(main, readFileSync(main, "utf8").replace("two", "three"));
  const third = await bundleOf(folder);
  const kept = [second, third].flatMap((path) => [nameOf(path), `${nameOf(path)}.jsc`]);
  expect(readdirSync(join(folder, "build/bundle")).toSorted()).toEqual(kept.toSorted());

  // What else decides about it: how imports are resolved, and how sources are compiled.
  for (const name of ["package.json", "tsconfig.json"]) {
    writeFileSync(join(folder, name), `${readFileSync(join(folder, name), "utf8")}\n`);
    expect([first, second, third]).not.toContain(await bundleOf(folder));
  }
});

test("sources that cannot be bundled are said with their place, and leave nothing behind", async () => {
  const folder = tree();
  writeFileSync(join(folder, "src/main.ts"), 'import "./missing.ts";\n');
  const program = `import { ensureBundle } from ${JSON.stringify(join(folder, "scripts/bundle.ts"))};
    await ensureBundle().catch((error) => process.stdout.write(error.message));`;
  const child = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe", cwd: folder });
  expect(await new Response(child.stdout).text()).toMatch(/^bundling src\/main\.ts failed:\n.*missing\.ts/s);
  expect(readdirSync(join(folder, "build/bundle"))).toEqual([]);
});

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
