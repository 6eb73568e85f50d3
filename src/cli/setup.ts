// cairn setup CLIENT: prints the commands and configuration that connect an MCP client to a node (lib/client-lines.ts).
// Never writes into files of other programs.

import { resolve } from "node:path";
import { nodeOrigin } from "../config/node-address.ts";
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
import { type Command, type Invocation, isSet, textOption } from "./command.ts";
import { say, wantsJson, writeData } from "./output.ts";
import { shortCommand } from "./own-command.ts";

/** `cairn setup`. */
export const setup: Command = {
  words: ["setup"],
  summary: "print how to connect an MCP client to the node",
  more: `Clients: ${CLIENTS.join(", ")}.
Without --url the node of this machine is asked for its address, and clients on this machine use cairn bridge.`,
  args: [{ name: "[CLIENT]", help: "the client (default: all of them)", offers: CLIENTS }],
  options: [
    { flags: "--stdio", help: "only with cairn bridge, for a machine without Tailscale" },
    { flags: "--fleet", help: "with cairn bridge --fleet, which goes on at another member when its node dies" },
    { flags: "--name <name>", help: "name of this server in the client (default: cairn)" },
    { flags: "--hook", help: "for claude-code: also print the start hook that runs cairn prime" },
    { flags: "--data <dir>", help: "the node of this data folder" },
    { flags: "--url <url>", help: "the node at this address, such as http://cairn" },
    { flags: "--json", help: "print JSON" },
  ],
  async run(invocation) {
    const clients = clientsOf(invocation.args[0]);
    const hook = isSet(invocation, "hook");
    if (hook && !clients.includes("claude-code")) {
      throw new Fault("invalid_input", `No start hook is known for ${clients[0]}`, {
        hint: "Use cairn setup claude-code --hook.",
      });
    }
    const target = await targetOf(invocation);
    // Only the bridge knows more than one node.
    const stdioOnly = isSet(invocation, "stdio") || isSet(invocation, "fleet");
    const shown = clients.flatMap((client) => linesOf(client, target, stdioOnly));
    const hooks = hook ? [hookLines(target)] : [];
    await writeData(
      wantsJson(invocation)
        ? `${JSON.stringify({ clients: shown, hooks }, null, 2)}\n`
        : [...shown.map(people), ...hooks.map(people)].join("\n"),
    );
    return 0;
  },
};

/**
 * Returns the lines for HTTP, for machines on the tailnet, and for the bridge; or one of them where only that works.
 */
function linesOf(client: ClientName, target: ClientTarget, stdioOnly: boolean): ClientLines[] {
  const stdio = clientLines(client, target, "stdio");
  if (stdioOnly || target.mcpUrl === null || client === "claude-desktop") return [stdio];
  const http = clientLines(client, target, "http");
  return [
    { ...http, title: `${http.title}, over HTTP` },
    { ...stdio, title: `${stdio.title}, by cairn bridge` },
  ];
}

function clientsOf(name: string | undefined): readonly ClientName[] {
  if (name === undefined) return CLIENTS;
  const found = CLIENTS.find((client) => client === name);
  if (found !== undefined) return [found];
  const near = nearest(name, CLIENTS);
  throw new Fault("invalid_input", `The client ${JSON.stringify(name)} is not known`, {
    hint: near === undefined ? `Known are: ${CLIENTS.join(", ")}.` : `Did you mean ${near}?`,
  });
}

async function targetOf(invocation: Invocation): Promise<ClientTarget> {
  const name = textOption(invocation, "name") ?? "cairn";
  const url = textOption(invocation, "url") ?? invocation.env["CAIRN_URL"];
  const data = textOption(invocation, "data");
  const fleet = isSet(invocation, "fleet") ? ["--fleet"] : [];
  if (url !== undefined && url !== "" && data === undefined) {
    const base = nodeOrigin(url);
    return { name, mcpUrl: `${base}/mcp`, bridge: [...shortCommand(), "bridge", ...fleet, "--url", base] };
  }
  // The client starts the bridge in a folder of its own.
  const bridge = [...shortCommand(), "bridge", ...fleet, ...(data === undefined ? [] : ["--data", resolve(data)])];
  try {
    const { body } = await askNode(invocation, "node_status", {});
    const urls = Array.isArray(body["urls"]) ? body["urls"] : [];
    return { name, mcpUrl: typeof urls[0] === "string" ? `${urls[0]}/mcp` : null, bridge };
  } catch (error) {
    // The client may be set up before the node runs.
    if (!(error instanceof Fault) || error.code !== "not_running") throw error;
    say("no node answers on this machine: these lines work once it runs, and its URL is not known before");
    return { name, mcpUrl: null, bridge };
  }
}

/** Returns the hook that Claude Code runs at the start of a session; the model gets its output. */
function hookLines(target: ClientTarget): ClientLines {
  const at = target.bridge.indexOf("bridge");
  // Only the bridge goes from one member to another.
  const options = target.bridge.slice(at + 1).filter((word) => word !== "--fleet");
  const command = [...target.bridge.slice(0, at), "prime", "--hook", ...options];
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
    note: "Each session then starts with what the store holds for you.",
  };
}

function people({ title, steps, note }: ClientLines): string {
  const shown = steps.map((step, index) => {
    const where = `${index === 0 ? "" : "or "}${step.where}:`;
    return `  ${where}\n${step.text.replaceAll(/^/gm, "    ")}\n`;
  });
  return `${title}\n${shown.join("")}${note === "" ? "" : `  ${note}\n`}`;
}
