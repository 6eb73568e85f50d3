// Dockerfile and compose.yaml, parsed for tests.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";

export const ROOT = dirname(dirname(import.meta.dir));

const service = z.looseObject({
  command: z.array(z.string()),
  entrypoint: z.array(z.string()).optional(),
  environment: z.record(z.string(), z.string()).default({}),
  volumes: z.array(z.string()).default([]),
  secrets: z.array(z.string()).default([]),
  healthcheck: z.object({ disable: z.boolean() }).optional(),
  depends_on: z.record(z.string(), z.object({ condition: z.string() })).default({}),
});
const compose = z.looseObject({
  services: z.record(z.string(), service),
  volumes: z.record(z.string(), z.unknown()),
  secrets: z.record(z.string(), z.object({ file: z.string() })),
});

export type Service = z.infer<typeof service>;

/** Returns the services with their anchors merged. */
export function composeFile(): z.infer<typeof compose> {
  return compose.parse(Bun.YAML.parse(readFileSync(join(ROOT, "compose.yaml"), "utf8")));
}

export interface Instruction {
  /** Name of the stage; `final` for the last one. */
  stage: string;
  word: string;
  rest: string;
}

export type All = (word: string, stage?: string) => string[];

/**
 * Instructions of the Dockerfile, continued lines joined. `all` returns what follows a keyword, in all stages or in
 * one.
 */
export function dockerfile(): { instructions: readonly Instruction[]; all: All } {
  let stage = "";
  const instructions = readFileSync(join(ROOT, "Dockerfile"), "utf8")
    .replaceAll(/\\\n/g, " ")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const [, word = "", rest = ""] = /^([A-Z]+) +(.*)$/.exec(line) ?? [];
      if (word === "FROM") stage = / AS (\S+)$/.exec(rest)?.[1] ?? "final";
      return { stage, word, rest };
    });
  const all: All = (word, of) =>
    instructions.filter((one) => one.word === word && (of === undefined || one.stage === of)).map(({ rest }) => rest);
  return { instructions, all };
}

/** Returns the folders that the image makes for its user. */
export function madeFoldersOf(all: All): string[] {
  const [run = ""] = all("RUN", "final");
  return /install -d -m 0700 -o cairn -g cairn ([^&]*)/.exec(run)?.[1]?.trim().split(" ") ?? [];
}

/** Returns the arguments of an instruction in exec form, such as `["serve"]`. */
export function stringsOf(text: string | undefined): string[] {
  return z.array(z.string()).parse(JSON.parse(text ?? "[]"));
}

/** Returns the variables that the image sets. */
export function imageEnvironment(all: All): Record<string, string> {
  return Object.fromEntries(
    (all("ENV", "final")[0] ?? "").split(" ").map((pair) => pair.split("=") as [string, string]),
  );
}
