// Addresses of the pages of jobs.

import { address } from "../../../page/address.ts";
import { jobAddress } from "../../../page/thing-link.ts";

export { jobAddress as jobLink };

/** Path of the list, and of the pages below it. */
export const JOBS = "/ui/jobs";
export const JOB = `${JOBS}/`;

/** The same of rules. */
export const RULES_PAGE = "/ui/rules";
export const RULE_PAGE = `${RULES_PAGE}/`;

/** Returns the address of a rule; names are unique in the fleet. */
export function ruleLink(name: string): string {
  return `${RULE_PAGE}${encodeURIComponent(name)}`;
}

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

/** Returns where a form of a job's page goes. */
export function jobForm(id: string, form: string): string {
  return address(jobAddress(id), { form });
}
