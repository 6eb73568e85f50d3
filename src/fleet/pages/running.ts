// What runs on the members, for the page of the fleet. Services and jobs are features above this folder: the page asks
// their operations by name, and reads of the answer what it shows. A node or a caller without them leaves it unknown.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import type { Visit } from "../../operation/page.ts";

const services = {
  name: "service_list",
  output: z.object({
    services: z.array(
      z.object({
        name: z.string(),
        space: z.string(),
        copies: z.array(z.object({ state: z.string(), node: z.string().optional() })),
      }),
    ),
    members: z.array(z.object({ node: z.string(), drained: z.boolean() })),
  }),
} as const;
const jobs = {
  name: "job_list",
  output: z.object({ jobs: z.array(z.object({ worker: z.string().optional() })), cursor: z.string().optional() }),
} as const;

/** The operations that are asked, for a test that they are as read here. */
export const ASKED_OF_FEATURES = [services, jobs] as const;

/** Jobs that are looked at. */
const MAX_JOBS = 200;

/** A service that runs somewhere. */
export interface RunningService {
  name: string;
  space: string;
}

/** What runs on each member; undefined: not known. */
export interface Running {
  servicesOn: ((node: string) => readonly RunningService[]) | undefined;
  isDrained: (node: string) => boolean;
  jobsOn: ((node: string) => number) | undefined;
  /** There are more jobs than were looked at: the counts are lower bounds. */
  isCut: boolean;
}

/** Asks what runs. */
export async function askRunning(visit: Visit): Promise<Running> {
  const [ofServices, ofJobs] = await Promise.all([
    visit.tryAsk(services),
    visit.tryAsk(jobs, { state: "running", limit: MAX_JOBS }),
  ]);
  return {
    servicesOn:
      ofServices instanceof Fault
        ? undefined
        : (node) =>
            ofServices.services.filter(({ copies }) =>
              copies.some((copy) => copy.node === node && copy.state !== "idle"),
            ),
    isDrained: (node) =>
      !(ofServices instanceof Fault) && ofServices.members.some((member) => member.node === node && member.drained),
    jobsOn: ofJobs instanceof Fault ? undefined : (node) => ofJobs.jobs.filter(({ worker }) => worker === node).length,
    isCut: !(ofJobs instanceof Fault) && ofJobs.cursor !== undefined,
  };
}
