// Fields by which declarations name a program that nodes run: its words, account, environment and limits. Only values;
// what becomes of them on a node is features/process/declared-program.ts.

import { z } from "zod";

const MAX_WORD = 4096;
/** A variable of the environment. */
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;
/** What no child gets (features/process), and what the node sets itself. */
const OWN_VARIABLE = /^(?:TS_|TAILSCALE_|BUN_|LD_|DYLD_|CAIRN_)|^NODE_OPTIONS$/;

const variable = z
  .string()
  .regex(VARIABLE, "is no name of a variable")
  .refine((name) => !OWN_VARIABLE.test(name), { message: "is a variable that no program gets" });

/** Program and words. */
export const programWords = z.array(z.string().max(MAX_WORD)).min(1).max(64);

/** An absolute path of a folder. */
export const programFolder = z.string().max(MAX_WORD).startsWith("/");

/** The fields that programs of every kind have. */
export const programFields = {
  grace: z.number().int().min(0).max(300).default(10).describe("Seconds between SIGTERM and SIGKILL"),
  user: z.string().min(1).max(64).optional().describe("The account that it runs as; needs a node that runs as root"),
  environment: z.array(variable).max(32).default([]).describe("Variables of the node that it gets"),
  secrets: z
    .record(variable, z.string().regex(/^secret:[A-Z0-9_]{1,64}$/, "is secret:NAME"))
    .refine((all) => Object.keys(all).length <= 16, { message: "has more than 16 secrets" })
    .default({})
    .describe("Variables with values that the node reads as secret:NAME"),
  limits: z
    .strictObject({
      memory_bytes: z
        .number()
        .int()
        .min(1_048_576)
        .max(2 ** 50)
        .optional(),
      processes: z.number().int().min(1).max(100_000).optional(),
      cpus: z.number().min(0.01).max(1024).optional(),
    })
    .default({}),
} as const;

/** What is declared of a program by them. */
export interface ProgramFields {
  grace: number;
  user?: string | undefined;
  environment: readonly string[];
  secrets: Readonly<Record<string, string>>;
  limits: { memory_bytes?: number | undefined; processes?: number | undefined; cpus?: number | undefined };
}
