// Acts of an admin on this node alone: from which level on it writes log lines, and reading its settings again.

import { z } from "zod";
import { Fault } from "../lib/fault.ts";
import { nearest } from "../lib/nearest.ts";
import { knownParts, LEVELS, type Level, logLevels, setPartLevel, setProcessLevel } from "../observe/log-levels.ts";
import { logFor } from "../observe/logging.ts";
import { type ActOperation, act } from "../operation/define.ts";
import { ServiceKey, type Services } from "../operation/services.ts";

const THIS_NODE = { verb: "admin", spaces: ["fleet"] } as const;
/** Stands for every part without a level of its own. */
const ALL = "all";
const MAX_CHANGES = 50;

const levelsInput = z.object({
  set: z
    .record(z.string().min(1).max(64), z.enum([...LEVELS, "default"]))
    .refine((set) => Object.keys(set).length <= MAX_CHANGES, `at most ${MAX_CHANGES} parts in one call`)
    .default({})
    .describe("Level by part; all: every part without a level of its own. default: that of all again."),
});
const levelsOutput = z.object({
  level: z.enum(LEVELS).describe("Of every part without a level of its own."),
  parts: z.array(
    z.object({
      part: z.string(),
      level: z.enum(LEVELS),
      own: z.boolean().describe("Whether it was set for this part."),
    }),
  ),
});

/** Shows and sets the levels. */
export const nodeLogLevels = act({
  name: "node_log_levels",
  title: "Log levels of this node",
  search: "log level, verbosity, debug lines of one part",
  description:
    "Shows from which level on each part of this node writes log lines, and sets it until the node starts again. " +
    "The lines go where the node's log goes; this returns none of them.",
  input: levelsInput,
  example: {},
  samples: { set: { node: "debug" } },
  output: levelsOutput,
  access: THIS_NODE,
  hints: { idempotent: true },
  isTool: false,
  run: async ({ set }, { author }) => {
    const changes = Object.entries(set);
    const parts = knownParts();
    for (const [part, level] of changes) refuseUnusable(part, level, parts);
    for (const [part, level] of changes) setLevel(part, level);
    const shown = changes.map(([part, level]) => `${part} ${level}`).join(", ");
    if (changes.length > 0) logFor("node")("info", `${author} set log levels: ${shown}`);
    const { level, parts: own } = logLevels();
    return {
      level,
      parts: parts.map((part) => ({ part, level: own.get(part) ?? level, own: own.has(part) })),
    };
  },
});

function refuseUnusable(part: string, level: Level | "default", parts: readonly string[]): void {
  if (part === ALL && level === "default")
    throw new Fault("invalid_input", "all has no default but the setting log.level", {
      hint: `Name a level: ${LEVELS.join(", ")}.`,
    });
  if (part === ALL || parts.includes(part)) return;
  const near = nearest(part, parts);
  throw new Fault("invalid_input", `No part of this node that writes log lines is called ${JSON.stringify(part)}`, {
    hint: near === undefined ? `They are all, ${parts.join(", ")}.` : `Did you mean ${near}?`,
  });
}

function setLevel(part: string, level: Level | "default"): void {
  if (part !== ALL) setPartLevel(part, level === "default" ? undefined : level);
  else if (level !== "default") setProcessLevel(level);
}

const reloaded = z.object({
  file: z.string().nullable().describe("The settings file that was read; null: there is none."),
  applied: z.array(z.string()).describe("Settings that changed and are in force now."),
  restart: z.array(z.string()).describe("Settings that changed and need a restart of the node."),
  fleet: z.array(z.string()).describe("Settings that changed and are those of the fleet: a node's are its beginning."),
  policy_file: z.boolean().describe("Whether there is a policy file, which was read again."),
  warnings: z.array(z.string()),
});

/** What a node did about its settings. */
export type Reloaded = z.infer<typeof reloaded>;

/** Reads the settings of the node again. Throws Fault `config_invalid` or `policy_invalid`, with nothing changed. */
export const NODE_RELOAD: ServiceKey<() => Reloaded> = new ServiceKey("the settings of the node");

/** Reads the settings again. */
export function nodeReload(node: Services): ActOperation<z.ZodObject, typeof reloaded> {
  return act({
    name: "node_reload",
    title: "Read the settings of this node again",
    search: "reload configuration, settings file changed, SIGHUP",
    description:
      "Reads settings file, policy file and what else was given to this node again. What can change while it runs is " +
      "in force at once; the answer names what needs a restart. Settings that a start would refuse change nothing.",
    input: z.object({}),
    output: reloaded,
    access: THIS_NODE,
    hints: { idempotent: true },
    isTool: false,
    run: async () => node.get(NODE_RELOAD)(),
  });
}
