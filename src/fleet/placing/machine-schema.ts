// What the operations say of a member's machine. null is unknown, everywhere.

import { z } from "zod";

/** Facts that are older are stale: by now the machine may do something else. */
export const STALE_MS = 15_000;

const unknownOr = <T extends z.ZodType>(shape: T, words: string) => shape.nullable().describe(words);

/** The machine of a member. */
export const machineSchema = z
  .object({
    os: z.string(),
    arch: z.string(),
    model: unknownOr(z.string(), "What the board calls itself, such as a Raspberry Pi."),
    labels: z.array(z.string()).describe("os, arch, gpu where one was found, and those of the setting `labels`."),
    gpu: unknownOr(z.string(), "By which a GPU was found: a device, or apple."),
    busy_percent: unknownOr(z.number(), "The highest of load per CPU, CPU in use and pressures."),
    busy_by: unknownOr(z.string(), "Which of them that is."),
    cores: unknownOr(z.number(), "CPUs that the node may use."),
    load: unknownOr(z.number(), "Load average of a minute; unknown below a limit of CPUs."),
    cpu_percent: unknownOr(z.number(), "Of those CPUs, over the last seconds."),
    pressure: z
      .object({ cpu: z.number().nullable(), memory: z.number().nullable(), io: z.number().nullable() })
      .describe("Percent of the last 10 s in which something waited for it (PSI)."),
    memory_total: z.number().nullable(),
    memory_free: unknownOr(z.number(), "Bytes that a new process could get."),
    disk_total: z.number().nullable(),
    disk_free: unknownOr(z.number(), "Bytes on the disk with the data folder."),
    temperature_celsius: z.number().nullable(),
    throttled: unknownOr(z.array(z.string()), "Why it slows itself down now."),
    throttled_before: unknownOr(z.array(z.string()), "Why it did since it was started."),
    uptime_seconds: unknownOr(z.number(), "Of the machine."),
    age_seconds: z.number().describe("Since these facts were measured."),
    stale: z.boolean().describe(`Older than ${STALE_MS / 1000} s.`),
  })
  .nullable()
  .describe("Its machine; null: unknown, because nothing was heard of it or its build is too old.");

/** The machine of a member. */
export type MachineReport = NonNullable<z.infer<typeof machineSchema>>;
