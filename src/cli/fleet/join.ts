// cairn ticket and cairn join. The secret of a ticket is generated here and never sent: the node gets its hash, the
// joining node its text in a variable or file. `join` writes a request into the data folder, and the next start of the
// node joins, so that nothing about how the node is started (npm, systemd, container) has to be changed.

import { existsSync, fstatSync } from "node:fs";
import { join as joinPath } from "node:path";
import { readSecrets, secretWarnings } from "../../config/secrets.ts";
import { prepareDataFolder, writeJoinRequest } from "../../datadir/index.ts";
import {
  drawSecret,
  type FleetRole,
  hashOf,
  parseTicket,
  readFleetFile,
  refuseOtherRole,
  ticketText,
} from "../../fleet/index.ts";
import { counted } from "../../lib/counted.ts";
import { Fault } from "../../lib/fault.ts";
import { ownChanges } from "../../membership/index.ts";
import { registerSecret } from "../../observe/redact.ts";
import { askNode, dataDirOf, nodeAddress } from "../client.ts";
import { type Command, type Invocation, isSet, textOption, textsOption } from "../command.ts";
import { say, showResult, wantsJson } from "../output.ts";
import { askLeader, askMembers, roleOption } from "./ask-leader.ts";
import { findDevice } from "./find-device.ts";
import { isId, ROLE, SPACE } from "./members.ts";

/** `cairn ticket`. */
export const ticket: Command = {
  words: ["ticket"],
  operation: "fleet_ticket_create",
  summary: "create a ticket with which one device can join: valid once, for 15 minutes",
  more: `Run it on the leader. The ticket is a secret and is only written to stdout. Pass it on as the variable
CAIRN_JOIN_TICKET, as a file named by CAIRN_JOIN_TICKET_FILE, or as a systemd credential, never as an argument.
Example:
  (umask 077; cairn ticket --role regional > ticket)`,
  options: [ROLE, SPACE, { flags: "--for <node>", help: "only for the waiting device with this tailnet name or id" }],
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
    await showResult(invocation, shown, `${text}\n`);
    if (isOpenFile()) say("other users can read the file that holds it: close it with chmod 600");
    say(`valid once, until ${String(body["expires_at"])}; on the other machine, with the ticket in a file:`);
    say(`  CAIRN_JOIN_TICKET_FILE=ticket cairn join ${await hostOf(invocation)}, then start its node`);
    return 0;
  },
};

/** Reports whether stdout is a file that other users can read. */
function isOpenFile(): boolean {
  const found = fstatSync(1);
  return found.isFile() && (found.mode & 0o077) !== 0;
}

/** Returns the id of a waiting device; an id may also be that of a device that does not ask yet. */
async function deviceOf(invocation: Invocation, word: string): Promise<string> {
  const { pending } = await askMembers(invocation);
  const waits = pending.some(({ node }) => node === word);
  return !waits && isId(word) ? word : findDevice(word, pending, "waiting device").node;
}

async function hostOf(invocation: Invocation): Promise<string> {
  const { tailnet } = (await askNode(invocation, "node_status", {})).body;
  const name = typeof tailnet === "object" && tailnet !== null && "name" in tailnet ? String(tailnet.name) : "";
  return name.split(".")[0] || "auto";
}

/** `cairn join`. */
export const join: Command = {
  words: ["join"],
  summary: "let this machine's node join a fleet at its next start",
  more: `With a ticket in CAIRN_JOIN_TICKET (or _FILE) it is admitted at once; without one it has to be approved on the
leader (cairn members). Data of its own is only replaced with --discard-local, and a copy is kept.
Examples:
  CAIRN_JOIN_TICKET_FILE=ticket cairn join berlin
  cairn join auto --fleet home --role regional`,
  args: [{ name: "HOST", help: "name or address of any member, or auto to find the fleet by its name on the tailnet" }],
  options: [
    ROLE,
    { flags: "--fleet <name>", help: "name of the fleet (default for auto: the node's setting)" },
    { flags: "--discard-local", help: "replace the data of this node; a copy is kept under aside/" },
    { flags: "--data <dir>", help: "the node's data folder" },
    { flags: "--json", help: "print JSON" },
  ],
  async run(invocation) {
    const dataDir = dataDirOf(invocation);
    const [place = "auto"] = invocation.args;
    process.umask(0o077);
    const { role, joinTicket } = ticketOf(invocation);
    const mended = prepareDataFolder(dataDir);
    if (mended !== undefined) say(mended);
    const wasRemoved = refuseMember(dataDir);
    const discard = isSet(invocation, "discardLocal");
    if (!wasRemoved) refuseLoss(dataDir, discard);
    const fleet = textOption(invocation, "fleet");
    writeJoinRequest(dataDir, {
      place,
      discard,
      ...(fleet === undefined ? {} : { fleet }),
      ...(role === undefined ? {} : { role }),
      ...(joinTicket === undefined ? {} : { ticket: joinTicket }),
    });
    await reportRequest(invocation, { place, role, ticket: joinTicket !== undefined, running: isRunning(invocation) });
    return 0;
  },
};

/** Returns the ticket, and the role of `--role` or of the ticket. Fault `config_invalid` where the two differ. */
function ticketOf(invocation: Invocation): { role: FleetRole | undefined; joinTicket: string | undefined } {
  const { joinTicket, joinTicketFrom = "" } = readSecrets(invocation.env);
  registerSecret(joinTicket);
  for (const line of secretWarnings(invocation.env)) say(line);
  const ticket = joinTicket === undefined ? undefined : parseTicket(joinTicket, joinTicketFrom);
  const chosen = roleOption(invocation);
  refuseOtherRole(chosen, ticket);
  return { role: chosen ?? ticket?.role, joinTicket };
}

interface JoinRequested {
  place: string;
  role: FleetRole | undefined;
  ticket: boolean;
  running: boolean;
}

async function reportRequest(invocation: Invocation, request: JoinRequested): Promise<void> {
  const { place, role } = request;
  const where = place === "auto" ? "the fleet it finds" : `the fleet of ${place}`;
  const as = role === undefined ? "" : ` as ${role}`;
  await showResult(invocation, request, `at its next start this node joins ${where}${as}\n`);
  if (wantsJson(invocation)) return;
  say(
    request.running
      ? "restart it now: systemctl restart cairn for a service, or stop it and start it as before"
      : "start it as before: cairn serve, npm start, or its service",
  );
  if (!request.ticket)
    say("it has no ticket: unless a grant admits it, run cairn members approve on the leader of the fleet");
}

function isRunning(invocation: Invocation): boolean {
  try {
    const address = nodeAddress(invocation);
    return "socketPath" in address && existsSync(address.socketPath);
  } catch {
    return false;
  }
}

/** Returns whether the fleet has removed this node: then its data is moved to aside/ at the join. */
function refuseMember(dataDir: string): boolean {
  const file = readFleetFile(joinPath(dataDir, "raft")) ?? readFleetFile(joinPath(dataDir, "edge"));
  if (file === undefined || file.removed === true) return file !== undefined;
  throw new Fault("data_exists", `This node already is a ${file.role} member of the fleet ${file.fleet}`, {
    hint: "It can join another one after cairn leave.",
  });
}

function refuseLoss(dataDir: string, discard: boolean): void {
  const held = ownChanges(dataDir);
  if (held === 0 || discard) return;
  throw new Fault(
    "data_exists",
    `This node holds ${counted(held, "change")} of its own, which the fleet's store would replace`,
    {
      hint: "Export what you need with cairn export, then give --discard-local: a copy is kept under aside/.",
    },
  );
}
