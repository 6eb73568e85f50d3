// The files from which a generated page is made, for its line "Generated from …": the manifests of the features and the
// files that they import for one part.

import { readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import type { Feature } from "../src/operation/feature.ts";
import { withoutComments } from "./code-text.ts";

const root = dirname(import.meta.dir);

/** Returns the line of a page that names its files, each once. */
export function generatedFrom(files: readonly string[]): string {
  const names = [...new Set(files)].map((file) => `\`${file}\``);
  const last = names.pop() ?? "";
  return `Generated from ${names.length === 0 ? last : `${names.join(", ")} and ${last}`}.`;
}

/**
 * Returns the files in which the features define a part of their manifests: the file from which the manifest imports
 * the part, or the manifest itself. Throws an Error for a feature whose manifest is not found.
 */
export function filesOf(features: readonly Feature[], part: keyof Feature): string[] {
  return features
    .filter((feature) => feature[part] !== undefined)
    .map(({ name }) => {
      const manifest = manifestOf(name);
      return importOf(manifest, name, part) ?? manifest;
    });
}

const MANIFESTS: readonly string[] = [
  ...new Bun.Glob("{src,test}/**/*feature.{ts,tsx}").scanSync({ cwd: root }),
].sort();

/** Returns the file with the manifest of a feature. */
function manifestOf(name: string): string {
  const found = MANIFESTS.find((file) => startOf(codeOf(file), name) >= 0);
  if (found === undefined) throw new Error(`no file feature.ts has the manifest of the feature ${name}`);
  return found;
}

/** Returns the file from which the manifest imports a part, as in `rest: routes`; undefined for one of its own. */
function importOf(manifest: string, feature: string, part: string): string | undefined {
  const code = codeOf(manifest);
  const value = new RegExp(`^ {2}${part}: \\[?(\\w+)\\]?,$`, "m").exec(code.slice(startOf(code, feature)))?.[1];
  if (value === undefined) return undefined;
  const from = new RegExp(`import \\{[^}]*\\b${value}\\b[^}]*\\} from "(\\.[^"]+)"`).exec(code)?.[1];
  return from === undefined ? undefined : relative(root, join(root, dirname(manifest), from));
}

function startOf(code: string, feature: string): number {
  return code.search(new RegExp(`\\{\\s*name: "${feature}"`));
}

function codeOf(file: string): string {
  return withoutComments(readFileSync(join(root, file), "utf8"));
}
