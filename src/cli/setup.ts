// cairn setup CLIENT: the lines that make an MCP client use this node, from the one place that knows them (lib/client-lines.ts). It prints; it writes into no other program's files.

import {
  CLIENTS,
  type ClientLines,
  type ClientName,
  type ClientTarget,
  clientLines,
  shellWord,
} from "../lib/client-lines.ts";
import { Fault } from "../lib/fault.ts";
import { nearest } from "../lib/nearest.ts";
import { askNode } from "./client.ts";
import { type Command, type Invocation, textOption } from "./command.ts";
import { writeData } from "./output.ts";
import { shortCommand } from "./own-command.ts";

export const setup: Command = {
  words: ["setup"],
  summary: "print the lines that connect an MCP client to the node",
  more: `Clients: ${CLIENTS.join(", ")}.\nWithout --url the node of this machine is asked for its address, and the lines for this machine go by cairn bridge.`,
  args: [{ name: "[CLIENT]", help: "the client; all of them when left out", offers: CLIENTS }],
  options: [
    { flags: "--stdio", help: "only by cairn bridge, for a machine without Tailscale" },
    { flags: "--name <name>", help: "what the client calls this server (default: cairn)" },
    { flags: "--hook", help: "for claude-code: also the start hook that runs cairn prime" },
    { flags: "--data <dir>", help: "the node of this data folder" },
    { flags: "--url <url>", help: "the node at this address, such as http://cairn" },
    { flags: "--json", help: "as JSON" },
  ],
  async run(invocation) {
    const clients = clientsOf(invocation.args[0]);
    const hook = invocation.options["hook"] === true;
    if (hook && !clients.includes("claude-code")) {
      throw new Fault("invalid_input", `${clients[0]} has no start hook that is known`, {
        hint: "Use cairn setup claude-code --hook.",
      });
    }
    const target = await targetOf(invocation);
    const shown = clients.flatMap((client) => linesOf(client, target, invocation.options["stdio"] === true));
    const hooks = hook ? [hookLines(target)] : [];
    await writeData(
      invocation.options["json"] === true
        ? `${JSON.stringify({ clients: shown, hooks }, null, 2)}\n`
        : [...shown.map(people), ...hooks.map(people)].join("\n"),
    );
    return 0;
  },
};

/** By HTTP for machines of the tailnet, and by the bridge; a client that knows only one of them gets it once. */
function linesOf(client: ClientName, target: ClientTarget, stdioOnly: boolean): ClientLines[] {
  const stdio = clientLines(client, target, "stdio");
  if (stdioOnly || target.mcpUrl === null || client === "claude-desktop") return [stdio];
  return [clientLines(client, target, "http"), stdio];
}

function clientsOf(name: string | undefined): readonly ClientName[] {
  if (name === undefined) return CLIENTS;
  const found = CLIENTS.find((client) => client === name);
  if (found !== undefined) return [found];
  const near = nearest(name, CLIENTS);
  throw new Fault("invalid_input", `There are no lines for the client ${JSON.stringify(name)}`, {
    hint: near === undefined ? `Known are: ${CLIENTS.join(", ")}.` : `Did you mean ${near}?`,
  });
}

async function targetOf(invocation: Invocation): Promise<ClientTarget> {
  const name = textOption(invocation, "name") ?? "cairn";
  const url = textOption(invocation, "url") ?? invocation.env["CAIRN_URL"];
  const data = textOption(invocation, "data");
  if (url !== undefined && url !== "" && data === undefined) {
    if (!URL.canParse(url)) {
      throw new Fault("invalid_input", `${JSON.stringify(url)} is not the address of a node`, {
        hint: "Give it as http://cairn.",
      });
    }
    const base = new URL(url).origin;
    return { name, mcpUrl: `${base}/mcp`, bridge: [...shortCommand(), "bridge", "--url", base] };
  }
  const bridge = [...shortCommand(), "bridge", ...(data === undefined ? [] : ["--data", data])];
  try {
    const { body } = await askNode(invocation, "node_status", {});
    const urls = Array.isArray(body["urls"]) ? body["urls"] : [];
    return { name, mcpUrl: typeof urls[0] === "string" ? `${urls[0]}/mcp` : null, bridge };
  } catch (error) {
    // The bridge may be set up before its node runs.
    if (!(error instanceof Fault) || error.code !== "not_running") throw error;
    return { name, mcpUrl: null, bridge };
  }
}

/** Claude Code runs this when a session starts, and gives what it prints to the model. */
function hookLines(target: ClientTarget): ClientLines {
  const [, ...rest] = target.bridge.slice(target.bridge.indexOf("bridge") - 1);
  const command = [...target.bridge.slice(0, target.bridge.indexOf("bridge")), "prime", "--hook", ...rest.slice(1)];
  const hooks = {
    SessionStart: [{ hooks: [{ type: "command", command: command.map(shellWord).join(" "), timeout: 10 }] }],
  };
  return {
    client: "claude-code",
    title: "Claude Code, start hook",
    steps: [
      {
        kind: "file",
        where: "~/.claude/settings.json, or .claude/settings.json of a project",
        text: JSON.stringify({ hooks }, null, 2),
      },
    ],
    note: "Each session then begins with what the store holds for you.",
  };
}

function people({ title, steps, note }: ClientLines): string {
  const shown = steps.map((step, index) => {
    const where = `${index === 0 ? "" : "or "}${step.where}:`;
    return `  ${where}\n${step.text.replaceAll(/^/gm, "    ")}\n`;
  });
  return `${title}\n${shown.join("")}${note === "" ? "" : `  ${note}\n`}`;
}
