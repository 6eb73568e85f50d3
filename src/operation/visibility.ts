// Who may read a row (features.md 3): one rule, as a function and as SQL for lists that filter before they page. The
// right to read the row's space is judged before, by the gate.

import { AGENT_NAME, foldedAgentName } from "../lib/agent-key.ts";
import { MAX_CALLER_NAME } from "../lib/caller-name.ts";
import { Fault } from "../lib/fault.ts";
import type { Viewer } from "./viewer.ts";

/** What a row may say of who reads it. */
export const VISIBILITIES = ["public", "private", "agent_only", "admin_only"] as const;
/** One of VISIBILITIES. */
export type Visibility = (typeof VISIBILITIES)[number];

/** Who wrote a row: what `stamp` says, where "" is as good as left out. */
export interface Author {
  caller: string;
  agent?: string | undefined;
  /** `stamp.agentType`: its type, where a grant listed that when it wrote. */
  type?: string | undefined;
}

/** A row as far as its readers depend on it. */
export interface VisibleRow {
  /** One of VISIBILITIES; a row with any other word is read by nobody. */
  visibility: string;
  author: Author;
  /** Recipients of a private row, as `recipientOf` returns them. */
  to: readonly string[];
}

/** Returns a word that is a visibility. Throws Fault `invalid_input` for every other one. */
export function visibilityOf(word: string): Visibility {
  const known = VISIBILITIES.find((each) => each === word);
  if (known !== undefined) return known;
  throw new Fault("invalid_input", `${JSON.stringify(word.slice(0, 80))} is no visibility`, {
    hint: `Use one of ${VISIBILITIES.join(", ")}.`,
    details: { field: "visibility" },
  });
}

/** Reports whether a viewer that may read the space of a row may read the row. */
export function mayRead({ visibility, author, to }: VisibleRow, viewer: Viewer): boolean {
  switch (visibility) {
    case "public":
      return true;
    case "private":
      return isAuthor(author, viewer) || recipientsIn(viewer).some((name) => to.includes(name));
    case "agent_only":
      return isAuthor(author, viewer) || (viewer.type !== undefined && viewer.type === author.type);
    case "admin_only":
      return viewer.isAdmin;
    default:
      return false;
  }
}

/** Names of the columns of a row, with the alias of the table where there is one. Texts, "" for none. */
export interface VisibleColumns {
  visibility: string;
  caller: string;
  agent: string;
  type: string;
  /** Framed, see `framedRecipients`. */
  to: string;
}

/** A condition of a WHERE clause, in brackets, with its values in order. */
export interface VisibleSql {
  sql: string;
  values: string[];
}

/** Returns the rule of `mayRead` for this viewer as SQL. */
export function visibleSql(columns: VisibleColumns, viewer: Viewer): VisibleSql {
  const { visibility, to, type } = columns;
  const author = authorSql(columns, viewer);
  const names = recipientsIn(viewer);
  const named = names.map(() => `instr(${to}, ?) > 0`);
  const isPrivate = `(${visibility} = 'private' AND (${[author.sql, ...named].join(" OR ")}))`;
  const ofType =
    viewer.type === undefined ? { sql: "", values: [] } : { sql: ` OR ${type} = ?`, values: [viewer.type] };
  const isAgentOnly = `(${visibility} = 'agent_only' AND (${author.sql}${ofType.sql}))`;
  const isAdminOnly = viewer.isAdmin ? [`${visibility} = 'admin_only'`] : [];
  return {
    sql: `(${[`${visibility} = 'public'`, isPrivate, isAgentOnly, ...isAdminOnly].join(" OR ")})`,
    values: [...author.values, ...names.map((name) => framedRecipients([name])), ...author.values, ...ofType.values],
  };
}

function authorSql({ caller, agent }: VisibleColumns, viewer: Viewer): VisibleSql {
  if (viewer.callers.length === 0) return { sql: "0", values: [] };
  const asWhom = viewer.agent === undefined ? `${agent} = ''` : `(${agent} = '' OR lower(${agent}) = ?)`;
  const places = viewer.callers.map(() => "?").join(",");
  return {
    sql: `(${caller} IN (${places}) AND ${asWhom})`,
    values: [...viewer.callers, ...(viewer.agent === undefined ? [] : [foldedAgentName(viewer.agent)])],
  };
}

/** What an agent wrote is that agent's alone; what a caller wrote itself is that of all its agents. */
function isAuthor({ caller, agent = "" }: Author, viewer: Viewer): boolean {
  if (!viewer.callers.includes(caller)) return false;
  return agent === "" || (viewer.agent !== undefined && foldedAgentName(viewer.agent) === foldedAgentName(agent));
}

/** Returns the recipients that mean a viewer. */
function recipientsIn({ callers, tags, agent }: Viewer): string[] {
  return [...(agent === undefined ? [] : [`agent:${foldedAgentName(agent)}`]), ...callers, ...tags];
}

const TAG = /^tag:[A-Za-z0-9-]{1,100}$/;
const CALLER = /^(?:user:|node:|local:)./;

/**
 * Returns whom a writer means: the name of an agent, a login (`ann@example.com`; `ann@` where logins have no domain), a
 * tag, or a caller as whoami writes it. Throws Fault `invalid_input` for every other text.
 */
export function recipientOf(text: string): string {
  if (AGENT_NAME.test(text)) return `agent:${foldedAgentName(text)}`;
  const isPlain = text.length <= MAX_CALLER_NAME && text.isWellFormed() && !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(text);
  if (isPlain && (TAG.test(text) || CALLER.test(text))) return text;
  if (isPlain && /^[^:@]+@[^@]*$/.test(text)) return `user:${text.replace(/@$/, "")}`;
  throw new Fault("invalid_input", `${JSON.stringify(text.slice(0, 80))} names neither an agent, a login nor a tag`, {
    hint: 'Give the name of an agent such as "builder", a login such as "ann@example.com", or a tag such as "tag:ci".',
    details: { field: "to" },
  });
}

/** Returns recipients as one column, each between line ends, so that one can be searched for. */
export function framedRecipients(to: readonly string[]): string {
  return to.length === 0 ? "" : `\n${to.join("\n")}\n`;
}

/** Returns the recipients of such a column. */
export function recipientsOf(framed: string): string[] {
  return framed === "" ? [] : framed.slice(1, -1).split("\n");
}
