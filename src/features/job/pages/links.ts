// Addresses of the pages of jobs.

import { address } from "../../../page/address.ts";

/** Path of the list, and of the pages below it. */
export const JOBS = "/ui/jobs";
export const JOB = `${JOBS}/`;

/** What a list shows; "" is no filter. */
export interface JobsView {
  space: string;
  action: string;
  state: string;
  cursor: string;
}

/** Returns the address of a list. */
export function jobsLink(view: Partial<JobsView>): string {
  return address(JOBS, { ...view });
}

/** Returns the address of a job. */
export function jobLink(id: string): string {
  return JOB + id.split("/").map(encodeURIComponent).join("/");
}

/** Returns where a form of a job's page goes. */
export function jobForm(id: string, form: string): string {
  return address(jobLink(id), { form });
}
