// cairn ticket and cairn join. A ticket's secret is drawn here and never sent: the node gets its hash, the joiner its text by variable or file.
// join leaves a request in the data folder, and the next start of the node joins: whoever started it, by npm start, by systemd or in a container, starts it as before, and no command line has to be changed.

import { existsSync, statSync } from "node:fs";
import { join as joinPath, resolve } from "node:path";
import { readSecrets } from "../../config/secrets.ts";
import { writeJoinRequest } from "../../datadir/index.ts";
import { drawSecret, type FleetRole, hashOf, parseTicket, readFleetFile, ticketText } from "../../fleet/index.ts";
import { Fault } from "../../lib/fault.ts";
import { ensurePrivateFolder } from "../../lib/private-folder.ts";
import { ownChanges } from "../../membership/index.ts";
import { registerSecret } from "../../observe/redact.ts";
import { askNode, dataDirOf, nodeAddress } from "../client.ts";
import { type Command, type Invocation, textOption, textsOption } from "../command.ts";
import { say, writeData } from "../output.ts";
import { askLeader, askMembers, oneOf, roleOption } from "./asking.ts";
import { ROLE, SPACE } from "./members.ts";

/** `cairn ticket`. */
export const ticket: Command = {
  words: ["ticket"],
  summary: "make a join ticket for one device: one use, 15 minutes",
  more: "Typed on the leader. The ticket is a secret and goes to stdout alone; hand it over as the variable CAIRN_JOIN_TICKET, as a file named by CAIRN_JOIN_TICKET_FILE, or as a systemd credential, never as an argument.\nExample:\n  cairn ticket --role regional > ticket",
  options: [ROLE, SPACE, { flags: "--for <node>", help: "only for the waiting device of this name or id" }],
  asksNode: true,
  async run(invocation) {
    const role = roleOption(invocation);
    if (role === undefined)
      throw new Fault("invalid_input", "The role of the ticket is missing", {
        hint: "Give --role central, regional or edge.",
      });
    const wanted = textOption(invocation, "for");
    const node = wanted === undefined ? undefined : await deviceOf(invocation, wanted);
    const spaces = textsOption(invocation, "space");
    const secret = drawSecret();
    const input = {
      hash: hashOf(secret),
      role,
      ...(node === undefined ? {} : { node }),
      ...(spaces.length === 0 ? {} : { spaces }),
    };
    const { body } = await askLeader(invocation, "fleet_ticket_create", input, `ticket --role ${role}`);
    const text = ticketText({ role, fleetId: String(body["fleet_id"]), secret });
    const shown = { ticket: text, role, expires_at: body["expires_at"] };
    await writeData(invocation.options["json"] === true ? `${JSON.stringify(shown)}\n` : `${text}\n`);
    say(`counts once, until ${String(body["expires_at"])}; on the other machine, with the ticket in a file:`);
    say(`  CAIRN_JOIN_TICKET_FILE=ticket cairn join ${await hostOf(invocation)}, then start its node`);
    return 0;
  },
};

/** A device that waits, or an id. */
async function deviceOf(invocation: Invocation, word: string): Promise<string> {
  const { pending } = await askMembers(invocation);
  const known = pending.some(({ node, name }) => node === word || name === word);
  return known ? oneOf(word, pending, "waiting device").node : word;
}

async function hostOf(invocation: Invocation): Promise<string> {
  const { tailnet } = (await askNode(invocation, "node_status", {})).body;
  const name = typeof tailnet === "object" && tailnet !== null && "name" in tailnet ? String(tailnet.name) : "";
  return name.split(".")[0] || "auto";
}

/** `cairn join`. */
export const join: Command = {
  words: ["join"],
  summary: "have this machine's node join a fleet at its next start",
  more: "With a ticket in CAIRN_JOIN_TICKET (or _FILE) it is let in at once; without one the leader has to approve it (cairn members). Data that the node holds of its own are only given up with --discard-local, and a copy is kept.\nExamples:\n  CAIRN_JOIN_TICKET_FILE=ticket cairn join berlin\n  cairn join auto --fleet home --role regional",
  args: [{ name: "HOST", help: "name or address of any member, or auto: the one fleet of this name on the tailnet" }],
  options: [
    ROLE,
    { flags: "--fleet <name>", help: "name of the fleet (default for auto: the node's setting)" },
    { flags: "--discard-local", help: "give up what this node holds; a copy is kept under aside/" },
    { flags: "--data <dir>", help: "the node's data folder" },
    { flags: "--json", help: "as JSON" },
  ],
  async run(invocation) {
    const dataDir = resolve(dataDirOf(invocation));
    const [place = "auto"] = invocation.args;
    process.umask(0o077);
    ensurePrivateFolder(dataDir);
    refuseForeignFolder(dataDir);
    const wasRemoved = refuseMember(dataDir);
    const { joinTicket } = readSecrets(invocation.env);
    registerSecret(joinTicket);
    const role = roleOption(invocation) ?? (joinTicket === undefined ? undefined : parseTicket(joinTicket).role);
    const discard = invocation.options["discardLocal"] === true;
    if (!wasRemoved) refuseLoss(dataDir, discard);
    const fleet = textOption(invocation, "fleet");
    writeJoinRequest(dataDir, {
      place,
      discard,
      ...(fleet === undefined ? {} : { fleet }),
      ...(role === undefined ? {} : { role }),
      ...(joinTicket === undefined ? {} : { ticket: joinTicket }),
    });
    await tell(invocation, { place, role, ticket: joinTicket !== undefined, running: isRunning(invocation) });
    return 0;
  },
};

interface Wished {
  place: string;
  role: FleetRole | undefined;
  ticket: boolean;
  running: boolean;
}

async function tell(invocation: Invocation, wished: Wished): Promise<void> {
  if (invocation.options["json"] === true) return void (await writeData(`${JSON.stringify(wished)}\n`));
  const where = wished.place === "auto" ? "the fleet it finds" : `the fleet of ${wished.place}`;
  await writeData(
    `at its next start this node joins ${where}${wished.role === undefined ? "" : ` as ${wished.role}`}\n`,
  );
  say(
    wished.running
      ? "restart it now: systemctl restart cairn for a service, or stop it and start it as before"
      : "start it as always: cairn serve, npm start, or its service",
  );
  if (!wished.ticket)
    say("it has no ticket: unless a grant lets it in, run cairn members approve on the fleet's leader then");
}

function isRunning(invocation: Invocation): boolean {
  try {
    const address = nodeAddress(invocation);
    return "socketPath" in address && existsSync(address.socketPath);
  } catch {
    return false;
  }
}

function refuseForeignFolder(dataDir: string): void {
  const { uid } = statSync(dataDir);
  if (process.getuid?.() === uid) return;
  throw new Fault("data_unsafe", `The data folder ${dataDir} belongs to another user (id ${uid})`, {
    hint: "Run this as the user of the node, such as with sudo -u cairn.",
  });
}

/** Answers whether the folder is of a member that its fleet forgot: what it holds is kept aside at the join. */
function refuseMember(dataDir: string): boolean {
  const file = readFleetFile(joinPath(dataDir, "raft")) ?? readFleetFile(joinPath(dataDir, "edge"));
  if (file === undefined || file.removed === true) return file !== undefined;
  throw new Fault("data_exists", `This node is a ${file.role} member of the fleet ${file.fleet} already`, {
    hint: "It joins another one after cairn leave.",
  });
}

function refuseLoss(dataDir: string, discard: boolean): void {
  const held = ownChanges(dataDir);
  if (held === 0 || discard) return;
  throw new Fault(
    "data_exists",
    `This node holds ${held} changes of its own, and the fleet's store would replace them`,
    {
      hint: "Export what you need with cairn export, then give --discard-local: a copy is kept under aside/.",
    },
  );
}
