// What a node reports of its machine. What cannot be had is left out: it is unknown, and never 0.

import { z } from "zod";
import { LABEL, MAX_OWN_LABELS } from "../../lib/machine-label.ts";

/** Operating system, architecture and GPU come to those that a node was given. */
const MAX_LABELS = MAX_OWN_LABELS + 3;

/** What a member says of itself is arithmetic and text for others: no number overflows, no text steers a terminal. */
const amount = z.number().nonnegative().max(Number.MAX_SAFE_INTEGER);
const text = z
  .string()
  .max(64)
  .regex(/^[\x20-\x7e]*$/);
const percent = z.number().min(0).max(100);
const word = z.string().regex(/^[a-z0-9_]{1,32}$/);

/** Facts of one machine at one moment. Sizes in bytes. */
export const machineShape = z.object({
  /** As Node calls it: linux, darwin. */
  os: word,
  /** x64, arm64. */
  arch: word,
  /** What the board calls itself, where it does. */
  model: text.optional(),
  labels: z.array(z.string().regex(LABEL)).max(MAX_LABELS),
  /** The device by which a GPU was found. */
  gpu: text.optional(),
  /** CPUs that the node may use; a limit of its control group may be a part of one. */
  cores: z.number().min(0.001).max(65_536).optional(),
  /** Load average of a minute; left out below a limit of CPUs, because it is that of the whole host. */
  load: z.number().nonnegative().max(1_000_000).optional(),
  /** Share of those CPUs that was in use since the last look. */
  cpuPercent: percent.optional(),
  /** Share of the last ten seconds in which something waited for it (PSI, `some avg10`). */
  pressure: z.object({ cpu: percent.optional(), memory: percent.optional(), io: percent.optional() }).optional(),
  memoryTotal: amount.optional(),
  /** What a new process could get. */
  memoryFree: amount.optional(),
  /** Of the disk with the data folder. */
  diskTotal: amount.optional(),
  diskFree: amount.optional(),
  temperatureC: z.number().min(-100).max(200).optional(),
  /** Why the machine slows itself down now, and why it did since it was started; empty: it does not. */
  throttled: z.array(word).max(8).optional(),
  throttledBefore: z.array(word).max(8).optional(),
  /** Of the machine, not of the node. */
  uptimeSeconds: amount.optional(),
  /** How old all this was when it was sent. */
  ageMs: amount,
});

/** Facts of one machine. */
export type MachineFacts = z.infer<typeof machineShape>;
