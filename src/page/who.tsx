// Who wrote or holds something: the agent, and the verified caller behind it.
/** @jsxImportSource hono/jsx */

import { type Named, nameText, Words } from "./text.tsx";

export interface WhoProps {
  /** The verified caller. */
  author: string;
  agent?: string | undefined;
  members: Named;
}

/** An agent with its caller, or the caller itself. */
export function Who({ author, agent, members }: WhoProps) {
  const caller = <Words text={nameText(author, members)} />;
  if (agent === undefined) return caller;
  return (
    <>
      <Words text={agent} /> <span class="quiet">of {caller}</span>
    </>
  );
}
