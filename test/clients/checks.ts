// What every MCP client must be able to do with a node: the checks of the matrix of clients, each with its outcome.

/** The checks in the order in which they run, with what each shows. */
export const CHECKS = {
  connects: "connects and negotiates a revision",
  tools: "lists the tools of daily work",
  text: "stores text that looks like JSON, and an integer of 20 digits, and reads both back as they were",
  long: "passes a document of 30,000 characters on whole, which the node sends once, as text",
  error: "shows a sentence that says what failed and what to do next",
  resources: "lists and reads a resource whose id is `user:alice/notes`",
  notified: "is notified of a change to a resource that it subscribed to",
  wait: "gets the change that it waits for",
  cancel: "cancels a wait, which then ends on the node",
  restart: "works on after a restart of the node",
  memory: "remembers and recalls at `/mcp/memory`, and is offered no tools of contexts there",
  collaboration: "takes a name, writes into a session and reads it at `/mcp/collaboration`",
  openai: "finds a document by `search` and reads it by `fetch` at `/mcp/openai`",
} as const;

export type Check = keyof typeof CHECKS;
export const CHECK_NAMES = Object.keys(CHECKS) as Check[];

export interface Outcome {
  check: Check;
  /** `limited`: failed for a known reason that is the client's own. */
  result: "passed" | "failed" | "limited" | "skipped";
  /** What was seen instead, the known reason, or why it was skipped. */
  note: string;
}

/** Thrown by a check where the client has no such thing. */
export class NotInClient extends Error {}

/** Text that a parser of JSON would change. */
export const JSON_TEXT = '{ "b": 1.0,  "a": [ ],\n "big": 12345678901234567890 }\n';
export const DIGITS = "12345678901234567890";
export const AWKWARD_ID = "user:alice/notes";

/** A document whose response is over 8 KB: lines that each say which they are, 30,000 characters in all. */
const LONG_LINES = Array.from({ length: 600 }, (_, at) =>
  `line ${String(at + 1).padStart(3, "0")} ${"of the long text ".repeat(3)}`.slice(0, 49),
);
export const LONG_TEXT = LONG_LINES.map((line) => `${line}\n`).join("");

/** Throws unless all lines of the long document are there, in whatever form a client shows them. */
export function mustBeWhole(shown: string): void {
  const missing = LONG_LINES.filter((line) => !shown.includes(line));
  if (missing.length === 0) return;
  const last = missing.at(-1);
  throw new Error(`${missing.length} of ${LONG_LINES.length} lines are missing, from "${missing[0]}" to "${last}"`);
}

/** Runs a check, and makes its outcome from what it throws. */
export async function outcomeOf(check: Check, run: () => Promise<void>): Promise<Outcome> {
  try {
    await run();
    return { check, result: "passed", note: "" };
  } catch (error) {
    const note = error instanceof Error ? error.message : String(error);
    return { check, result: error instanceof NotInClient ? "skipped" : "failed", note: note.slice(0, 300) };
  }
}

/** Throws unless the error that a client showed has the sentence in one piece: what failed, with the id, what to do. */
export function mustHelp(shown: string, id: string): void {
  const sentence = `There is no context "${id}". List the contexts`;
  // Some show a result as JSON, or as JSON within JSON.
  if (!shown.replaceAll("\\", "").includes(sentence)) throw new Error(`the error has no "${sentence} …": ${shown}`);
}
