// The text of the prompt `handoff`: how to write the state of the work as a context with fixed fields, and how the next
// agent finds it.

import { visibleJson } from "../../../lib/printable.ts";
import { sha256Hex } from "../../../lib/sha256.ts";
import { idProblem } from "../context-id.ts";

/** What the text is made of. */
export interface Handoff {
  /** Where the handoff is written; the caller may write to it. */
  space: string;
  topic: string;
  to: string | undefined;
  notes: string | undefined;
  /** Id of a context that the work is about. */
  about: string | undefined;
}

/** Longest part of an id that is made of the topic. */
const MAX_SLUG = 60;

const SHAPE = {
  handoff: 1,
  topic: "what this is about",
  to: "who should continue, or null",
  status: "open",
  goal: "what is to be achieved, and how to tell that it is",
  state: "where the work is now; what works, and how that was checked",
  done: ["what was done, with the reason for each decision"],
  next: ["the next steps, in order"],
  open_questions: ["what is unknown or undecided"],
  traps: ["what did not work, and why"],
  contexts: ["ids of contexts to read"],
  places: ["repositories, branches, files, URLs"],
};

/** Returns the id of the handoff of a topic. The same topic has the same id. */
export function handoffId(space: string, topic: string): string {
  const plain = topic
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, MAX_SLUG)
    .replace(/^-+|-+$/g, "");
  // A topic without Latin letters or digits gets a hash; a reserved word gets a prefix.
  const slug = plain === "" ? `topic-${shortHash(topic)}` : plain;
  const id = `${space}/handoff/${slug}`;
  return idProblem(id) === undefined ? id : `${space}/handoff/about-${slug}`;
}

/** Returns the text. The arguments appear in it as JSON. */
export function handoffText({ space, topic, to, notes, about }: Handoff): string {
  const id = handoffId(space, topic);
  const given = { topic, to: to ?? null, notes: notes ?? null, about: about ?? null };
  const reader = to === undefined ? "the next agent" : visibleJson(to);
  const readToo = about === undefined ? "" : ` Read ${visibleJson(about)} too.`;
  const folder = visibleJson(`${space}/handoff/`);
  return [
    `Hand over your work: write down its state, so that ${reader} can continue without you. The request, as JSON:`,
    visibleJson(given),
    "If the person typed more words than this topic has (some clients pass on only the first), the topic is all of them.",
    "",
    `1. Call context_get with id ${visibleJson(id)}. If it exists, it is an earlier handoff of this topic: ` +
      `keep what is still true, and write with if_match and its etag. Otherwise write with if_none_match "*".${readToo}`,
    "2. Call context_put with",
    `   id: ${visibleJson(id)}`,
    "   content_type: application/json",
    `   title: ${visibleJson(`Handoff: ${topic}`.slice(0, 200))}`,
    '   tags: ["handoff"]',
    "   content: an object with exactly these members; replace each text, lists may have any length:",
    JSON.stringify(SHAPE, null, 2),
    "3. Write for a reader who does not know this conversation. " +
      "Name contexts and files instead of copying them; at most 8 KB; no secrets.",
    "4. Then report the id, the version, and this line for the agent that continues, to the person you work for:",
    `   Read the Cairn context ${id} with context_get and continue from there.`,
    "",
    `The agent that continues finds open handoffs by context_list with the prefix ${folder} and the tag handoff, ` +
      'and takes one over by context_patch (format merge, if_match): {"status": "taken", "taken_by": "…"}; ' +
      'at the end {"status": "done"}. ' +
      "To follow this, wait with context_wait and the id.",
    "",
  ].join("\n");
}

function shortHash(text: string): string {
  return sha256Hex(text).slice(0, 12);
}
