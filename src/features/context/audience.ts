// Who may read a context: the arguments of a write, their form in commands and rows, and how a write may change it.
// What was public once stays public. Lookups that ask for it: readable.ts. The rule itself: operation/visibility.ts.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import type { Stamp } from "../../log/log.ts";
import { framedNames, MAX_NAMES, shownName } from "../../operation/recipients.ts";
import type { Viewer } from "../../operation/viewer.ts";
import { mayRead, recipientsOf, VISIBILITIES, type Visibility } from "../../operation/visibility.ts";

/** The fleet level from which on contexts have readers of their own. */
export const VISIBILITY_LEVEL = 3;

/** Who may read a context, or a version of it, as rows have it. */
export interface Audience {
  /** One of VISIBILITIES. */
  visibility: string;
  /** The caller who decided it, and the agent as which, or ""; both "" where it is public. */
  owner: string;
  owner_agent: string;
  /** The type of the agent that decided it, where a grant listed that; "" for none. */
  owner_type: string;
  /** Framed, see `framedRecipients`. */
  recipients: string;
}

/** Columns of `Audience`. Their order is part of the statements in append-version.ts. */
export const AUDIENCE_COLUMNS = ["visibility", "owner", "owner_agent", "owner_type", "recipients"] as const;

/** Everyone who may read the space. */
export const PUBLIC: Audience = { visibility: "public", owner: "", owner_agent: "", owner_type: "", recipients: "" };

/** Arguments of a write. */
export const audienceArguments = {
  visibility: z.enum(VISIBILITIES).optional().describe("Who reads it."),
  // Each is judged in `recipientOf`.
  to: z.array(z.string()).max(MAX_NAMES).optional().describe("Readers of a private one."),
};

type AudienceInput = z.output<z.ZodObject<typeof audienceArguments>>;

/** The readers that the command of a write asks for; left out: unchanged, public for a new context. */
export interface AudienceCommand {
  audience?: Pick<Audience, "recipients"> & { visibility: Visibility };
}

/** Returns the fleet level that such arguments need. */
export function levelOfAudience({ visibility, to }: AudienceInput): number {
  return visibility === undefined && to === undefined ? 1 : VISIBILITY_LEVEL;
}

/** Returns the readers of a command. Throws `invalid_input`. */
export function audienceCommand({ visibility, to }: AudienceInput): AudienceCommand {
  if (to !== undefined && visibility !== "private") {
    throw new Fault("invalid_input", "to names the readers of a private context, and visibility is not private", {
      hint: 'Give visibility: "private" with it, or leave it out.',
      details: { field: "to" },
    });
  }
  return visibility === undefined ? {} : { audience: { visibility, recipients: framedNames(to ?? []) } };
}

/** Returns the readers of a row, whose table has them from a fleet level on. */
export function audienceOf(row: Partial<Audience>): Audience {
  const { visibility, owner, owner_agent, owner_type, recipients } = row;
  return {
    visibility: visibility ?? PUBLIC.visibility,
    owner: owner ?? PUBLIC.owner,
    owner_agent: owner_agent ?? PUBLIC.owner_agent,
    owner_type: owner_type ?? PUBLIC.owner_type,
    recipients: recipients ?? PUBLIC.recipients,
  };
}

/** Reports whether two rows have the same readers. */
export function isSameAudience(one: Partial<Audience>, other: Partial<Audience>): boolean {
  const [a, b] = [audienceOf(one), audienceOf(other)];
  return AUDIENCE_COLUMNS.every((column) => a[column] === b[column]);
}

/** Reports whether a viewer, who may read the space, may read what has these readers. */
export function mayReadRow(row: Partial<Audience>, viewer: Viewer): boolean {
  if (row.visibility === undefined || row.visibility === "public") return true;
  const { visibility, owner, owner_agent, owner_type, recipients } = audienceOf(row);
  const author = { caller: owner, agent: owner_agent, type: owner_type };
  return mayRead({ visibility, author, to: recipientsOf(recipients) }, viewer);
}

/**
 * Returns the readers of the next version. `head`: the context, deleted or not, which the viewer may read. Throws
 * `invalid_input`, `forbidden`.
 */
export function nextAudience(
  { audience: wanted }: AudienceCommand,
  head: Partial<Audience> | undefined,
  viewer: Viewer,
  { caller, agent = "", agentType = "" }: Pick<Stamp, "caller" | "agent" | "agentType">,
): Audience {
  const before = head === undefined ? undefined : audienceOf(head);
  if (wanted === undefined || (before !== undefined && isUnchanged(wanted, before))) return before ?? PUBLIC;
  if (before?.visibility === "public") throw publicForGood();
  if (before !== undefined && !mayDecide(before, viewer)) throw notOwner();
  if (wanted.visibility === "public") return PUBLIC;
  if (wanted.visibility === "agent_only" && agentType === "") throw noAgentType(agent);
  const by = before ?? { owner: caller, owner_agent: agent };
  return { ...wanted, owner: by.owner, owner_agent: by.owner_agent, owner_type: agentType };
}

function isUnchanged(wanted: Pick<Audience, "visibility" | "recipients">, before: Audience): boolean {
  return wanted.visibility === before.visibility && wanted.recipients === before.recipients;
}

/** Reports whether a viewer, who may read a context, may change its readers: its owner, and admins what is theirs. */
function mayDecide({ visibility, owner, owner_agent }: Audience, viewer: Viewer): boolean {
  if (visibility === "admin_only" && viewer.isAdmin) return true;
  return mayRead({ visibility: "private", author: { caller: owner, agent: owner_agent }, to: [] }, viewer);
}

function publicForGood(): Fault {
  return new Fault("invalid_input", "The context is public, or was before it was deleted, and stays so", {
    hint: "Others may have read it already. Write what is not for everyone under another id.",
    details: { field: "visibility" },
  });
}

function notOwner(): Fault {
  return new Fault("forbidden", "Only the owner of a context says who may read it", {
    hint: "Leave out visibility and to; context_metadata names the owner.",
  });
}

function noAgentType(agent: string): Fault {
  const who = agent === "" ? "This call acts as no agent" : `No grant lists the type of the agent ${agent}`;
  return new Fault("invalid_input", `${who}, so nobody else could read what it writes as agent_only`, {
    hint: 'Use private with to; or let an admin list the type in a grant ("agent_types") for this space.',
    details: { field: "visibility" },
  });
}

/** The refusal of a write under an id that is another's, and that the caller may not read. */
export function taken(id: string): Fault {
  return new Fault("id_taken", `The id ${JSON.stringify(id)} is taken`, { hint: "Write under another id." });
}

/** Returns the bytes of readers for quotas. */
export function audienceBytes({ recipients = "" }: Partial<Audience>): number {
  return Buffer.byteLength(recipients);
}

/** Members of outputs: who may read it, absent where everyone may who reads the space. */
export const shownAudience = {
  visibility: z.enum(VISIBILITIES).optional().describe("Who may read it; absent: whoever may read the space."),
  owner: z.string().optional().describe("Who decides that, as verified."),
  owner_agent: z.string().optional(),
  to: z.array(z.string()).optional().describe("Who else may read it."),
};

/** Returns readers as callers see them. */
export function audienceShown(row: Partial<Audience>) {
  const { visibility, owner, owner_agent, recipients } = audienceOf(row);
  const known = VISIBILITIES.find((word) => word === visibility);
  if (known === undefined || known === "public") return {};
  return {
    visibility: known,
    owner,
    ...(owner_agent === "" ? {} : { owner_agent }),
    ...(recipients === "" ? {} : { to: recipientsOf(recipients).map(shownName) }),
  };
}
