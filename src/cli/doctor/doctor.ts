// cairn doctor: everything that can be wrong with the node of this machine, checked one by one, each with a way out. Changes nothing.

import { buildInfo } from "../../config/build-info.ts";
import { type Loaded, loadSettings } from "../../config/load.ts";
import { eachSecret, readSecrets } from "../../config/secrets.ts";
import { SETTING_TABLES } from "../../features/index.ts";
import type { NodeReport } from "../../fleet/index.ts";
import { columns } from "../../lib/columns.ts";
import { Fault } from "../../lib/fault.ts";
import { checkSettings } from "../../node/index.ts";
import { redactText, registerSecret } from "../../observe/redact.ts";
import { lockHolder } from "../../store/lock.ts";
import { askNode } from "../client.ts";
import { type Command, type Invocation, textOption } from "../command.ts";
import { writeData } from "../output.ts";
import { type Finding, fail, ok, overall, warn } from "./finding.ts";
import { checkDisk, checkLibrary, checkLock, checkModes, checkStore } from "./folder.ts";
import { checkService } from "./installed.ts";
import { checkRunning } from "./running.ts";

/** Asked for, and not true now. */
const UNHEALTHY_EXIT = 3;

/** `cairn doctor`. */
export const doctor: Command = {
  words: ["doctor"],
  summary:
    "check settings, folders, store, tailnet, keys and service of this machine's node; exits 3 when something fails",
  options: [
    { flags: "--data <dir>", help: "the node of this data folder" },
    { flags: "--config <file>", help: "with this settings file", offers: "files" },
    { flags: "--json", help: "as JSON" },
  ],
  async run(invocation) {
    const findings = (await examine(invocation)).map((finding) => ({
      ...finding,
      text: redactText(finding.text),
      hint: redactText(finding.hint),
    }));
    const status = overall(findings);
    await writeData(
      invocation.options["json"] === true
        ? `${JSON.stringify({ schema: 1, status, checks: findings })}\n`
        : `${columns(findings.map((finding) => [finding.status, finding.check, line(finding)]))}${status}\n`,
    );
    return status === "fail" ? UNHEALTHY_EXIT : 0;
  },
};

function line({ text, hint }: Finding): string {
  return hint === "" ? text : `${text}. ${hint}`;
}

async function examine(invocation: Invocation): Promise<Finding[]> {
  const { version, commit } = buildInfo;
  const first = ok("version", `cairn ${version} (${commit})`);
  const loaded = load(invocation);
  if (loaded instanceof Fault) return [first, fail("settings", loaded.message, loaded.hint ?? "Mend the settings.")];
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
      : fail("node", report.message, report.hint ?? "Start it with cairn serve."),
    ...(answers ? checkRunning(report, settings, lockHolder(settings.data).pid, nowMs) : []),
    ...judgeVersion(answers ? report : undefined),
    checkDisk(settings.data),
    await checkLibrary(settings.data),
    ...checkStore(settings.data, nowMs),
    ...checkService(invocation.env),
  ];
}

function load(invocation: Invocation): Loaded | Fault {
  const data = textOption(invocation, "data");
  try {
    return loadSettings({
      tables: SETTING_TABLES,
      flags: data === undefined ? {} : { data },
      env: invocation.env,
      configFile: textOption(invocation, "config"),
    });
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
}

function judgeSettings(loaded: Loaded, invocation: Invocation): Finding[] {
  try {
    const secrets = readSecrets(invocation.env);
    eachSecret(secrets, registerSecret);
    const problems = [...loaded.warnings, ...checkSettings(loaded.settings, secrets)];
    const [problem] = problems;
    if (problem !== undefined)
      return [warn("settings", problem, "cairn config show --origin says where each value comes from.")];
    return [ok("settings", `${loaded.origins.size} are no defaults`)];
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return [fail("settings", error.message, error.hint ?? "Mend the settings.")];
  }
}

/** The node of that data folder, not one that CAIRN_URL names: what lies on the disk belongs to it. */
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
  const text = `the node runs ${report.version}, and this is ${buildInfo.version}`;
  return [warn("version", text, "Restart the node to run the new one.")];
}
