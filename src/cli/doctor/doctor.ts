// cairn doctor: runs all checks of this machine's node. Each finding that is not ok says what to do. Changes nothing.

import { buildInfo } from "../../config/build-info.ts";
import type { Loaded } from "../../config/load.ts";
import { eachSecret, readSecrets } from "../../config/secrets.ts";
import type { NodeReport } from "../../fleet/index.ts";
import { columns } from "../../lib/columns.ts";
import { Fault } from "../../lib/fault.ts";
import { checkSettings } from "../../node/index.ts";
import { redactText, registerSecret } from "../../observe/redact.ts";
import { lockHolder } from "../../store/lock.ts";
import { askNode } from "../client.ts";
import { type Command, type Invocation, textOption } from "../command.ts";
import { NEGATIVE_EXIT } from "../exit.ts";
import { explicitText, localSettings } from "../local-settings.ts";
import { say, showResult } from "../output.ts";
import { writeBundle } from "./bundle.ts";
import { checkDisk, checkLibrary, checkLock, checkModes, checkStore } from "./check-data-folder.ts";
import { checkRunning } from "./check-node.ts";
import { checkService } from "./check-service.ts";
import { type Finding, fail, ok, overall, warn } from "./finding.ts";

/** `cairn doctor`. */
export const doctor: Command = {
  words: ["doctor"],
  summary: "check settings, data folder, store, tailnet, keys and service of this machine's node; exits 3 on a failure",
  options: [
    { flags: "--data <dir>", help: "the node of this data folder" },
    { flags: "--config <file>", help: "with this settings file", offers: "files" },
    {
      flags: "--bundle <file>",
      help: "also write all of this, without secrets, to a new archive (.tar.gz)",
      offers: "files",
    },
    { flags: "--json", help: "print JSON" },
  ],
  async run(invocation) {
    const findings = (await runChecks(invocation)).map((finding) => ({
      ...finding,
      text: redactText(finding.text),
      hint: redactText(finding.hint),
    }));
    const status = overall(findings);
    const rows = findings.map((finding) => [finding.status, finding.check, lineOf(finding)]);
    await showResult(invocation, { schema: 1, status, checks: findings }, `${columns(rows)}${status}\n`);
    const file = textOption(invocation, "bundle");
    if (file !== undefined) {
      const names = await writeBundle(file, invocation, findings);
      say(`wrote ${file} with ${names.length} files; read it before you send it: it names machines, logins and paths`);
    }
    return status === "fail" ? NEGATIVE_EXIT : 0;
  },
};

function lineOf({ text, hint }: Finding): string {
  return hint === "" ? text : `${text}. ${hint}`;
}

async function runChecks(invocation: Invocation): Promise<Finding[]> {
  const { version, commit } = buildInfo;
  const first = ok("version", `cairn ${version} (${commit})`);
  const loaded = load(invocation);
  if (loaded instanceof Fault) return [first, fail("settings", loaded.message, loaded.hint ?? "Correct the settings.")];
  const { settings } = loaded;
  const nowMs = Date.now();
  const report = await ask(invocation, settings.data);
  const answers = !(report instanceof Fault);
  return [
    first,
    ...judgeSettings(loaded, invocation),
    checkModes(settings.data),
    checkLock(settings.data, invocation.env, answers),
    answers
      ? ok("node", `answers, up ${report.uptime_seconds} s, at position ${report.position}`)
      : fail("node", report.message, hintFor(report)),
    ...(answers ? checkRunning(report, settings, lockHolder(settings.data).pid, nowMs) : []),
    ...judgeVersion(answers ? report : undefined),
    checkDisk(settings.data),
    await checkLibrary(settings.data),
    ...checkStore(settings.data, nowMs),
    ...checkService(invocation.env),
  ];
}

/** The doctor looks at a data folder, so another node is named by its folder and not by a URL. */
function hintFor({ code, hint }: Fault): string {
  const isAway = code === "not_running" || hint === undefined;
  return isAway ? "Start it with cairn serve, or name the data folder of another node with --data." : hint;
}

function load(invocation: Invocation): Loaded | Fault {
  try {
    return localSettings(invocation);
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
}

function judgeSettings(loaded: Loaded, invocation: Invocation): Finding[] {
  try {
    const secrets = readSecrets(invocation.env);
    eachSecret(secrets, registerSecret);
    const problems = [...loaded.warnings, ...checkSettings(loaded.settings, secrets, invocation.env)];
    const [problem] = problems;
    if (problem !== undefined)
      return [warn("settings", problem, "cairn config show --origin shows where each value comes from.")];
    return [ok("settings", `valid; ${explicitText(loaded)}`)];
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return [fail("settings", error.message, error.hint ?? "Correct the settings.")];
  }
}

/** Asks the node of that data folder, not the one of CAIRN_URL: the other checks look at this folder. */
async function ask(invocation: Invocation, dataDir: string): Promise<NodeReport | Fault> {
  try {
    const { body } = await askNode({ ...invocation, options: { data: dataDir } }, "node_status", {});
    return body as unknown as NodeReport;
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
}

function judgeVersion(report: NodeReport | undefined): Finding[] {
  if (report === undefined || report.version === buildInfo.version) return [];
  const text = `the node runs version ${report.version}, and this is ${buildInfo.version}`;
  return [warn("version", text, "Restart the node to run this version.")];
}
