// The prompt `handoff`: checks its arguments and selects a space that the caller may write to.

import type { Rights } from "../../../access/rights.ts";
import { spaceOf } from "../../../access/space.ts";
import { Fault } from "../../../lib/fault.ts";
import type { FeaturePrompt } from "../../../operation/mcp-parts.ts";
import { idProblem } from "../context-id.ts";
import { contextGet } from "../get.ts";
import { completeIds } from "../mcp-resources.ts";
import { prime } from "../prime.ts";
import { contextPut } from "../put.ts";
import { askPrime, type PrimeResult, spaceArgument } from "./ask-prime.ts";
import { handoffText } from "./handoff-text.ts";

/** Space of the first handoff in an empty store. */
const NEW_SPACE = "shared";

/** Asks an agent to write down the state of its work. */
export const handoffPrompt: FeaturePrompt = {
  name: "handoff",
  title: "Hand over work",
  description:
    "Asks the agent to write down the state of its work, with fixed fields, so that another agent can continue.",
  arguments: [
    {
      name: "topic",
      description: "What the work is about, in a few words, as one text.",
      required: true,
      longest: 200,
    },
    { name: "to", description: "Who should continue, if known.", longest: 200, unlisted: true },
    { name: "notes", description: "What the handoff should mention.", longest: 4000, unlisted: true },
    { ...spaceArgument("The space to write to (default: one you may write to).", "write"), unlisted: true },
    {
      name: "id",
      description: "A context that the work is about.",
      longest: 256,
      complete: completeIds,
      unlisted: true,
    },
  ],
  needs: [prime.name, contextGet.name, contextPut.name],
  text: async (given, context) => {
    const [topic = "", to, notes, about, wanted] = ["topic", "to", "notes", "id", "space"].map((name) =>
      given[name] === "" ? undefined : given[name],
    );
    const problem = about === undefined ? undefined : idProblem(about);
    if (problem !== undefined) throw new Fault("invalid_input", `handoff: id: ${problem}`);
    const found = await askPrime(context, wanted === undefined ? {} : { space: wanted });
    const space = spaceFor(found, wanted, context.rights);
    return handoffText({ space, topic, to, notes, about });
  },
};

/**
 * Returns the wanted space; else the writable space that changed last; else any writable space. Throws `forbidden`,
 * `invalid_input`.
 */
function spaceFor({ spaces, recent }: PrimeResult, wanted: string | undefined, rights: Rights): string {
  const writable = spaces.filter(({ may_write }) => may_write).map(({ space }) => space);
  if (wanted !== undefined && !writable.includes(wanted)) {
    throw new Fault("forbidden", `You may not write to the space ${JSON.stringify(wanted)}`, {
      hint: "Leave out space, or name a space that whoami says you may write to.",
    });
  }
  const lastChanged = recent.map(({ id }) => spaceOf(id)).find((space) => writable.includes(space));
  const found = wanted ?? lastChanged ?? writable[0];
  if (found !== undefined) return found;
  if (rights.mayUse({ verb: "write", operation: contextPut.name, space: NEW_SPACE })) return NEW_SPACE;
  throw new Fault("invalid_input", "handoff: space is missing, and nothing is stored yet where you may write", {
    hint: "Name a space; whoami shows where you may write.",
  });
}
