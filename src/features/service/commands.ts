// cairn service list|get|plan|move|restart|output and cairn fleet drain|undrain: programs that the fleet keeps running.

import { columns } from "../../lib/columns.ts";
import { counted } from "../../lib/counted.ts";
import {
  type FeatureCommand,
  type Option,
  optionText,
  optionTexts,
  type Words,
} from "../../operation/feature-command.ts";

type Row = Readonly<Record<string, unknown>>;

const NAME = { name: "NAME", help: "name of the service", fills: "name" };
const NODE = { name: "NODE", help: "name or id of the member", fills: "node" };
const SPACE: Option = { flags: "--space <space>", help: "the space that the service declares (default: fleet)" };
const MEMBER: Option = { flags: "--node <member>", help: "of this member, where several have a copy" };

const named = (words: Words) => ({ name: words.args[0], ...optionText(words, "space") });

/** Where a service is another space than commands ask for by themselves. */
const inSpace = (space: unknown) => (space === "fleet" ? "" : ` in ${space}`);
const spaceOption = (space: unknown) => (space === undefined || space === "fleet" ? "" : ` --space ${space}`);

function copyWords({ state, name, fence, reason }: Row): string {
  const where = name === undefined ? "" : ` on ${name}`;
  return `${state}${where}${fence === undefined ? "" : ` (${fence})`}${reason === "" ? "" : `: ${reason}`}`;
}

/** Says that the last deploy was taken back; or "". */
function failedWords({ deploy_failed: failed }: Row): string {
  const { version, reason } = (failed ?? {}) as Row;
  return failed === undefined ? "" : `the deploy of version ${version} was taken back: ${reason}`;
}

const list: FeatureCommand = {
  words: ["service", "list"],
  summary: "list the programs that the fleet keeps running, and the members that may run them",
  more: "Declare one with `cairn deploy`, with `cairn apply -f FILE`, or as the context fleet/services/NAME. install, uninstall and status are about cairn itself.",
  options: [
    { flags: "--space <space>", help: "only those of this space" },
    { flags: "--state <state>", help: "only those in this state, such as idle" },
  ],
  operation: "service_list",
  input: (words) => ({ ...optionText(words, "space"), ...optionText(words, "state") }),
  show: ({ services, members }) => {
    const rows = (services as Row[]).map((row) => {
      const copies = row["copies"] as Row[];
      const places = copies.map(copyWords).join("; ");
      const head = [String(row["name"]), String(row["space"]), String(row["state"]), `fence ${row["fence"]}`];
      return [...head, String(row["url"] ?? ""), places || failedWords(row)];
    });
    const nodes = (members as Row[]).map(({ name, node, drained, services: run }) => {
      return [String(name || node), drained === true ? "drained" : "", (run as string[]).join(", ")];
    });
    const shown = rows.length === 0 ? "no services\n" : columns(rows);
    return nodes.length === 0 ? shown : `${shown}\nMembers:\n${columns(nodes)}`;
  },
};

const get: FeatureCommand = {
  words: ["service", "get"],
  summary: "show where a service runs, why, and what the leader does next; exits 3 unless it is ready",
  args: [NAME],
  options: [SPACE],
  operation: "service_get",
  input: named,
  show: ({ service, next }) => {
    const { name, space, state, fence, url, copies } = service as Row;
    const head = `${name}${inSpace(space)} is ${state}, fence ${fence}${url === undefined ? "" : `, at ${url}`}\n`;
    const failed = failedWords(service as Row);
    const lines = [
      ...(copies as Row[]).map(copyWords),
      ...(next as string[]).map((text) => `next: ${text}`),
      ...(failed === "" ? [] : [failed]),
    ];
    return `${head}${lines.map((line) => `  ${line}\n`).join("")}`;
  },
  isNo: ({ service }) => (service as Row)["state"] !== "ready",
};

const plan: FeatureCommand = {
  words: ["service", "plan"],
  summary: "show what would be done about services, now or without certain members; changes nothing",
  args: [{ name: "[NAME]", help: "only this service", fills: "name" }],
  options: [{ flags: "--without <member>", help: "as if this member were away; may be repeated", repeated: true }],
  operation: "service_plan",
  input: (words) => {
    const without = optionTexts(words, "without");
    const [name] = words.args;
    return { ...(name === undefined ? {} : { name }), ...(without.length === 0 ? {} : { without }) };
  },
  show: ({ plan: all }) => {
    const shown = (all as Row[]).map(({ name, copy, now, steps, after, why, candidates }) => {
      const list = (steps as string[]).map((step, at) => `  ${at + 1}. ${step}\n`).join("");
      const members = (candidates as Row[])
        .map(({ name: member, problem }) => `${member}${problem === undefined ? "" : ` (${problem})`}`)
        .join(", ");
      const end = list === "" ? `  nothing: ${why}\n` : `${list}  then: ${after}\n`;
      return `${name}${copy === undefined ? "" : ` of ${copy}`}: ${now}\n${end}  members: ${members || "none"}\n`;
    });
    return shown.length === 0 ? "no services: those that are disabled have no plan\n" : shown.join("");
  },
};

const move: FeatureCommand = {
  words: ["service", "move"],
  summary: "move a service to another member; without --to, to the best one by its declaration",
  args: [NAME],
  options: [{ flags: "--to <member>", help: "name or id of the member" }, SPACE],
  operation: "service_move",
  input: (words) => ({ ...named(words), ...optionText(words, "to") }),
  show: ({ name }) => `${name} is asked to move; cairn service get ${name}\n`,
};

const restart: FeatureCommand = {
  words: ["service", "restart"],
  summary: "end a service and start it again on the same member",
  args: [NAME],
  options: [MEMBER, SPACE],
  operation: "service_restart",
  input: (words) => ({ ...named(words), ...optionText(words, "node") }),
  show: ({ name, copies }) => `${name}: ${counted(copies as number, "copy", "copies")} asked to restart\n`,
};

const output: FeatureCommand = {
  words: ["service", "output"],
  summary: "print the end of what the last start of a service wrote",
  args: [NAME],
  options: [MEMBER, SPACE],
  operation: "service_output",
  input: (words) => ({ ...named(words), ...optionText(words, "node") }),
  show: ({ output: text, note }) => {
    const shown = String(note ?? text);
    return shown === "" || shown.endsWith("\n") ? shown : `${shown}\n`;
  },
};

const drain: FeatureCommand = {
  words: ["fleet", "drain"],
  summary: "let all services leave a member, until `cairn fleet undrain`",
  args: [NODE],
  options: [{ flags: "--reason <text>", help: "why, for others" }],
  operation: "fleet_drain",
  input: (words) => ({ node: words.args[0], ...optionText(words, "reason") }),
  show: ({ name, node }) => `${name || node} is drained; cairn service list shows what is left\n`,
};

const undrain: FeatureCommand = {
  words: ["fleet", "undrain"],
  summary: "let services run on a member again",
  args: [NODE],
  operation: "fleet_undrain",
  input: (words) => ({ node: words.args[0] }),
  show: ({ name, node }) => `${name || node} may run services\n`,
};

const rollback: FeatureCommand = {
  words: ["service", "rollback"],
  summary: "bring back what a service was before its last deploy; again: the one before that",
  args: [NAME],
  operation: "service_rollback",
  input: (words) => ({ name: words.args[0] }),
  show: ({ name, space, version }) =>
    `${name} goes back by version ${version} of its declaration; cairn service get ${name}${spaceOption(space)}\n`,
};

/** The commands of services. */
export const serviceCommands: readonly FeatureCommand[] = [
  list,
  get,
  plan,
  move,
  restart,
  rollback,
  output,
  drain,
  undrain,
];
