// cairn agents, agents status, leave and remove. `agents register` keeps a file, and is in cli/agents.ts.

import { columns } from "../../lib/columns.ts";
import { type FeatureCommand, optionNumber, optionText } from "../../operation/feature-command.ts";

interface Listed {
  name: string;
  type: string;
  caller: string;
  seen_at: string;
  doing?: string;
}

const list: FeatureCommand = {
  words: ["agents"],
  summary: "list the agents of the fleet, and what each says it works on",
  options: [
    { flags: "--caller <caller>", help: "only agents of this caller, as cairn whoami writes it" },
    { flags: "--limit <n>", help: "at most this many" },
    { flags: "--cursor <cursor>", help: "go on after an earlier page" },
  ],
  operation: "agent_list",
  input: (words) => ({
    ...optionText(words, "caller"),
    ...optionNumber(words, "limit"),
    ...optionText(words, "cursor"),
  }),
  show: (output) => {
    const { agents } = output as unknown as { agents: Listed[] };
    if (agents.length === 0) return "no agent is registered\n";
    const rows = agents.map(({ name, type, caller, seen_at, doing = "" }) => [name, type, caller, seen_at, doing]);
    return columns(rows);
  },
};

const status: FeatureCommand = {
  words: ["agents", "status"],
  summary: "say what the agent of --agent works on",
  args: [{ name: "TEXT", help: "one line; empty: nothing", fills: "doing" }],
  options: [{ flags: "--for <seconds>", help: "how long it is shown (default 3600)", fills: "expires_in_seconds" }],
  operation: "agent_status",
  input: (words) => ({ doing: words.args[0], ...optionNumber(words, "for", "expires_in_seconds") }),
  show: ({ agent, until }) => `${agent}, until ${until}\n`,
};

const NAME = [{ name: "NAME", help: "as cairn agents shows it" }];
const ended = ({ agent, caller }: Readonly<Record<string, unknown>>) =>
  `${agent} of ${caller} has ended; its name is free\n`;

const leave: FeatureCommand = {
  words: ["agents", "leave"],
  summary: "end an agent of yours, and free its name",
  args: NAME,
  operation: "agent_leave",
  input: ({ args }) => ({ name: args[0] }),
  show: ended,
};

const remove: FeatureCommand = {
  words: ["agents", "remove"],
  summary: "end an agent of any caller, and free its name (operators)",
  args: NAME,
  operation: "agent_remove",
  input: ({ args }) => ({ name: args[0] }),
  show: ended,
};

/** The commands, in the order of the help. */
export const agentCommands: readonly FeatureCommand[] = [list, status, leave, remove];
