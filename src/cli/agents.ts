// cairn agents register: registers an agent of the caller and keeps its handle in a file, from which --agent reads it.
// The other commands of agents are in their manifest.

import { agentKeyOf } from "../lib/agent-key.ts";
import { prepareHandleFile, writeHandle } from "../lib/handle-file.ts";
import { newHandle } from "../lib/new-handle.ts";
import { askNode, handleFileOf } from "./client.ts";
import { type Command, isSet, textOption } from "./command.ts";
import { showAnswer } from "./output.ts";

/** `cairn agents register`. */
export const agentsRegister: Command = {
  words: ["agents", "register"],
  summary: "register an agent, and keep its handle for --agent",
  more: `Examples:
  cairn agents register builder --type coder
  cairn context put team-a/plan plan.md --agent builder`,
  args: [{ name: "NAME", help: "unique in the fleet, whatever its case" }],
  options: [
    { flags: "--type <type>", help: "what kind of agent it says it is, such as reviewer" },
    { flags: "--takeover", help: "take over a name of this caller; its old handle ends" },
  ],
  asksNode: true,
  operation: "agent_register",
  async run(invocation) {
    const [name = ""] = invocation.args;
    const type = textOption(invocation, "type");
    const path = handleFileOf(invocation, name);
    // Drawn here, so that no answer has it, and kept once the node has taken it.
    prepareHandleFile(path);
    const handle = newHandle();
    const answer = await askNode(
      { ...invocation, options: { ...invocation.options, agent: undefined } },
      "agent_register",
      {
        name,
        takeover: isSet(invocation, "takeover"),
        handle_hash: agentKeyOf(handle),
        ...(type === undefined ? {} : { type }),
      },
    );
    writeHandle(path, handle);
    return showAnswer(
      invocation,
      answer,
      ({ agent }) => `${agent}: --agent ${agent} acts as it; its handle is in ${path}\n`,
    );
  },
};
