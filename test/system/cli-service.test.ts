// `cairn service --user` from install to uninstall, with a recorder in systemctl's place: what is written, what the
// manager is told, and that doing it again changes nothing.

import { beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cairnCommand } from "../kit/node.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const home = temporaryFolder();
const unit = join(home, ".config", "systemd", "user", "cairn.service");
const record = join(home, "record");
const state = join(home, "state");
let command: string[];

beforeAll(async () => {
  command = await cairnCommand("source");
  const bin = join(home, "bin");
  mkdirSync(bin);
  writeFileSync(
    join(bin, "systemctl"),
    `#!/bin/sh
echo "$@" >> ${record}
case "$*" in
  *show*) cat ${state} 2>/dev/null || echo ActiveState=inactive ;;
  *restart*) grep -q 'serve --data .*refused' ${unit} && exit 1; echo ActiveState=active > ${state} ;;
  *daemon-reload*) test ! -e ${join(home, "no-bus")} || { echo Failed to connect to bus >&2; exit 1; } ;;
  *disable*) rm -f ${state} ;;
esac
`,
  );
  writeFileSync(
    join(bin, "journalctl"),
    `#!/bin/sh
echo "journalctl $@" >> ${record}
printf 'Starting.\\ncairn: The port 80 is in use\\n  try: Stop the other one.\\nFailed with result exit-code.\\n'
`,
  );
  for (const name of ["systemctl", "journalctl"]) chmodSync(join(bin, name), 0o755);
}, 600_000);

function cairn(...words: string[]) {
  writeFileSync(record, "");
  const { exitCode, stdout, stderr } = Bun.spawnSync({
    cmd: [...command, ...words],
    env: { PATH: `${join(home, "bin")}:/usr/bin:/bin`, HOME: home, TS_AUTHKEY: "tskey-auth-CANARY" },
  });
  const told = readFileSync(record, "utf8").trim().split("\n").filter(Boolean);
  return { code: exitCode, out: stdout.toString(), err: stderr.toString(), told };
}

describe.skipIf(process.platform !== "linux")("on Linux [needs Linux]", () => {
  test("--print only prints", () => {
    const printed = cairn("service", "install", "--user", "--print", "--data", join(home, "data"));
    expect(printed).toMatchObject({ code: 0, err: "", told: [] });
    expect(printed.out).toContain("Type=notify");
    expect(printed.out).toContain(`serve --data ${join(home, "data")}\n`);
    expect(printed.out).not.toContain("CANARY");
    expect(existsSync(unit)).toBe(false);
  });

  test("install writes, enables and starts; again changes nothing; a changed unit is brought up to date", () => {
    expect(cairn("service", "status", "--user")).toMatchObject({ code: 3 });
    const first = cairn("service", "install", "--user");
    expect(first).toMatchObject({ code: 0, err: "", out: `${unit} is installed\n` });
    expect(first.told).toEqual(["--user daemon-reload", "--user enable cairn.service", "--user restart cairn.service"]);
    const text = readFileSync(unit, "utf8");
    expect(text).toBe(cairn("service", "install", "--user", "--print").out);
    const second = cairn("service", "install", "--user");
    expect(second.out).toBe(`${unit} was already installed, unchanged\n`);
    expect(second.told.filter((words) => /restart|daemon-reload/.test(words))).toEqual([]);
    writeFileSync(unit, `${text}\n# changed by hand\n`);
    expect(cairn("service", "status", "--user").out).toContain("not up to date");
    expect(cairn("service", "install", "--user").out).toBe(`${unit} was updated\n`);
    expect(readFileSync(unit, "utf8")).toBe(text);
  });

  test("the doctor knows the installed unit, with whatever places it names", () => {
    const judged = () =>
      JSON.parse(cairn("doctor", "--json").out).checks.find(({ check }: { check: string }) => check === "service");
    expect(judged()).toMatchObject({ status: "ok" });
    expect(cairn("service", "install", "--user", "--data", join(home, "elsewhere"), "--no-start").code).toBe(0);
    expect(judged()).toMatchObject({ status: "ok" });
    writeFileSync(unit, readFileSync(unit, "utf8").replace("NoNewPrivileges=yes\n", ""));
    expect(judged()).toMatchObject({ status: "warn", hint: expect.stringContaining("service install --user") });
  });

  test("status is for scripts too; uninstall stops, removes, and can be done twice", () => {
    expect(cairn("service", "install", "--user").code).toBe(0);
    const shown = cairn("service", "status", "--user", "--json");
    expect({ code: shown.code, ...JSON.parse(shown.out) }).toMatchObject({ code: 0, installed: "same", active: true });
    const removed = cairn("service", "uninstall", "--user");
    expect(removed).toMatchObject({ code: 0, err: "" });
    expect(removed.told[0]).toBe("--user disable --now cairn.service");
    expect(existsSync(unit)).toBe(false);
    expect(cairn("service", "uninstall", "--user")).toMatchObject({ code: 0, told: [] });
  });

  test("a start that fails is taken back with the journal's reason: the unit of before, or none", () => {
    const refused = ["service", "install", "--user", "--data", join(home, "refused")];
    const first = cairn(...refused);
    expect([first.code, first.err]).toEqual([32, expect.stringContaining("did not start: The port 80 is in use")]);
    expect(first.err).toContain("try: Stop the other one.");
    expect(first.err).toContain("Nothing is installed.");
    expect(first.told.some((words) => words.startsWith("journalctl --user --unit cairn.service"))).toBe(true);
    expect(first.told.slice(-3)).toEqual([
      "--user disable --now cairn.service",
      "--user daemon-reload",
      "--user reset-failed cairn.service",
    ]);
    expect(existsSync(unit)).toBe(false);

    expect(cairn("service", "install", "--user").code).toBe(0);
    const text = readFileSync(unit, "utf8");
    const second = cairn(...refused);
    expect([second.code, second.err]).toEqual([32, expect.stringContaining("installed before is back, and runs.")]);
    expect(readFileSync(unit, "utf8")).toBe(text);
    expect(second.told.at(-1)).toBe("--user restart cairn.service");
    expect(cairn("service", "uninstall", "--user").code).toBe(0);
  });

  test("without a manager to talk to nothing stays", () => {
    writeFileSync(join(home, "no-bus"), "");
    const refused = cairn("service", "install", "--user");
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining("Failed to connect to bus")]);
    expect(existsSync(unit)).toBe(false);
    rmSync(join(home, "no-bus"));
  });

  test("a place that cannot be written is said with the way out", () => {
    mkdirSync(join(home, "closed"));
    writeFileSync(join(home, "closed", "systemd"), "a file where a folder should be");
    const refused = Bun.spawnSync({
      cmd: [...command, "service", "install", "--user"],
      env: { PATH: `${join(home, "bin")}:/usr/bin:/bin`, HOME: home, XDG_CONFIG_HOME: join(home, "closed") },
    });
    expect(refused.exitCode).toBe(10);
    expect(refused.stderr.toString()).toContain("--user");
  });
});
