// The unit and the job as texts, what their managers' words mean, and the watchdog's rhythm. systemd itself judges the
// unit.

import { describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LABEL, launchdJob } from "../../src/cli/service/launchd.ts";
import { type Service, serviceFor } from "../../src/cli/service/manager.ts";
import { isRunning } from "../../src/cli/service/service.ts";
import { lastWords, orTakeBack, restart } from "../../src/cli/service/start.ts";
import { systemdUnit, systemdWord, type UnitFacts } from "../../src/cli/service/systemd.ts";
import { FAULTS, Fault } from "../../src/lib/fault.ts";
import { serviceManager, watchdogMs } from "../../src/node/report/service-manager.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const facts: UnitFacts = {
  command: ["/bin/true"],
  user: false,
  account: "root",
  dataDir: undefined,
  configFile: undefined,
  backupFolder: undefined,
};

describe("the systemd unit", () => {
  test("notifies, is watched, and is sandboxed; writing memory is not forbidden", () => {
    const unit = systemdUnit(facts);
    for (const line of [
      "Type=notify",
      "WatchdogSec=30",
      "KillMode=mixed",
      "NoNewPrivileges=yes",
      "ProtectSystem=strict",
      "StateDirectory=cairn",
      "StateDirectoryMode=0700",
      "CapabilityBoundingSet=",
      "UnsetEnvironment=BUN_OPTIONS BUN_INSPECT BUN_CONFIG_VERBOSE_FETCH BUN_BE_BUN",
      "SystemCallFilter=@system-service",
      "UMask=0077",
    ])
      expect(unit.split("\n")).toContain(line);
    expect(unit).not.toMatch(/^MemoryDenyWriteExecute/m);
    expect(unit).not.toMatch(/AUTHKEY=tskey/);
  });

  test("another start is not tried after a failure that it cannot mend", () => {
    const codes = /^RestartPreventExitStatus=(.*)$/m.exec(systemdUnit(facts))?.[1]?.split(" ").map(Number);
    const lasting = [
      "auth_key",
      "config_invalid",
      "policy_invalid",
      "library_failed",
      "data_newer",
      "data_unsafe",
      "data_corrupt",
    ] as const;
    expect(codes).toEqual(lasting.map((code) => FAULTS[code].exit));
  });

  test("words are quoted as systemd reads them", () => {
    expect(systemdWord("/opt/a b/cairn")).toBe('"/opt/a b/cairn"');
    expect(systemdWord("50%$HOME")).toBe("50%%$$HOME");
    expect(systemdWord('a"b\\c')).toBe('"a\\"b\\\\c"');
    expect(systemdUnit({ ...facts, dataDir: "/srv/my data" })).toContain('serve --data "/srv/my data"');
  });

  test.skipIf(process.platform !== "linux")("a folder of backups elsewhere may be written [needs Linux]", () => {
    const dataDir = mkdtempSync(join(tmpdir(), "cairn-unit-"));
    try {
      const configFile = join(dataDir, "cairn.toml");
      const choice = { user: false, dataDir, configFile: undefined, env: {} };
      expect(serviceFor(choice).text).not.toMatch(/ReadWritePaths="?-/);
      writeFileSync(configFile, '[backup]\nfolder = "/mnt/two disks"\n', { mode: 0o600 });
      // Its first folder, so that a disk which is mounted later, or again, is seen.
      expect(serviceFor(choice).text).toContain("\nReadWritePaths=-/mnt\n");
      expect(serviceFor({ ...choice, dataDir: undefined, configFile }).text).toContain("\nReadWritePaths=-/mnt\n");
      for (const [folder, opened] of [
        ["/two disks/a", '"-/two disks"'],
        ["/run/media/ann/stick", "-/run/media"],
        ["/var/backups/cairn", "-/var/backups/cairn"],
        ["/opt/backups", "-/opt/backups"],
      ] as const) {
        writeFileSync(configFile, `[backup]\nfolder = "${folder}"\n`, { mode: 0o600 });
        expect(serviceFor(choice).text).toContain(`\nReadWritePaths=${opened}\n`);
      }
      expect(serviceFor({ ...choice, user: true }).text).not.toContain("ReadWritePaths");
    } finally {
      rmSync(dataDir, { recursive: true, force: true });
    }
  });

  test.skipIf(Bun.which("systemd-analyze") === null).each([false, true])(
    "systemd-analyze verify finds nothing wrong, user: %p [needs systemd]",
    (user) => {
      const folder = mkdtempSync(join(tmpdir(), "cairn-unit-"));
      try {
        const path = join(folder, "cairn.service");
        const elsewhere = { dataDir: "/var/lib/cairn-elsewhere", backupFolder: "/mnt/two disks" };
        writeFileSync(path, systemdUnit({ ...facts, user, ...elsewhere }));
        const verify = (file: string) => {
          const { exitCode, stdout, stderr } = Bun.spawnSync({
            cmd: ["systemd-analyze", "verify", "--man=no", ...(user ? ["--user"] : []), file],
            env: { ...process.env, XDG_RUNTIME_DIR: folder },
          });
          // Of our unit alone: the machine's own units are none of our business.
          const said = `${stdout}${stderr}`.split("\n").filter((line) => line.includes("cairn"));
          return { exitCode, said };
        };
        expect(verify(path).said).toEqual([]);
        // It does judge: a wrong line is said.
        const wrong = join(folder, "cairn-wrong.service");
        writeFileSync(wrong, systemdUnit({ ...facts, user }).replace("Type=notify", "Type=notfy\nNoSuchThing=1"));
        expect(verify(wrong).said.join("\n")).toMatch(/NoSuchThing|notfy/);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  );

  test.skipIf(Bun.which("systemd-analyze") === null)(
    "systemd-analyze security finds it as closed as it was [needs systemd]",
    () => {
      const folder = mkdtempSync(join(tmpdir(), "cairn-unit-"));
      try {
        const path = join(folder, "cairn.service");
        writeFileSync(path, systemdUnit({ ...facts, account: "cairn" }));
        const { stdout, stderr } = Bun.spawnSync({
          cmd: ["systemd-analyze", "security", "--offline=yes", "--no-pager", path],
        });
        const score = /exposure level for cairn\.service: ([0-9.]+)/.exec(`${stdout}`)?.[1];
        console.log(`systemd-analyze security: ${score} for cairn.service of the system (0 is closed, 10 open)`);
        expect({ score: Number(score), stderr: `${stderr}` }).toMatchObject({ score: expect.any(Number) });
        // 1.9 with Debian 12; other versions weigh a little otherwise.
        expect(Number(score)).toBeLessThan(2.5);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  );
});

describe("the launchd job", () => {
  const job = launchdJob({
    command: ["/opt/a & b/cairn"],
    user: true,
    dataDir: "/d",
    configFile: undefined,
    logFile: "/l",
  });

  test("names its program word by word, and nothing of it can break out", () => {
    const words = [...job.matchAll(/<string>([^<]*)<\/string>/g)].map((match) => match[1]);
    expect(words).toEqual([LABEL, "/opt/a &amp; b/cairn", "serve", "--data", "/d", "Background", "/l", "/l"]);
    expect(job).toContain("<key>KeepAlive</key>\n  <true/>");
  });

  test("every element is closed", () => {
    const open: string[] = [];
    for (const [, close, name = "", empty] of job.replace(/<[?!][^>]*>/g, "").matchAll(/<(\/?)(\w+)[^>]*?(\/?)>/g)) {
      if (empty === "/") continue;
      if (close === "/") expect(open.pop()).toBe(name);
      else open.push(name);
    }
    expect(open).toEqual([]);
  });
});

test("what the managers say means running or not", () => {
  expect(isRunning({ kind: "systemd" }, "ActiveState=active\nSubState=running")).toBe(true);
  expect(isRunning({ kind: "systemd" }, "ActiveState=activating\nSubState=start")).toBe(false);
  expect(isRunning({ kind: "launchd" }, "gui/501/x = {\n\tstate = running\n}")).toBe(true);
  expect(isRunning({ kind: "launchd" }, "\tstate = not running\n")).toBe(false);
});

describe("words to the service manager", () => {
  const heard: string[] = [];
  const notify = async (socket: string, state: string) => void heard.push(`${socket} ${state}`);

  test("without a socket nothing is said", async () => {
    heard.length = 0;
    const manager = serviceManager({ env: {}, notify, log: () => {} });
    manager.ready();
    manager.status("x");
    await manager.stopping();
    expect(heard).toEqual([]);
  });

  test("a status is one line; a manager that does not hear is a warning and no failure", async () => {
    heard.length = 0;
    serviceManager({ env: { NOTIFY_SOCKET: "/n" }, notify, log: () => {} }).status("a\nREADY=0");
    expect(heard).toEqual(["/n STATUS=a READY=0"]);
    const warned: string[] = [];
    const deaf = serviceManager({
      env: { NOTIFY_SOCKET: "/n" },
      notify: () => Promise.reject(new Error("gone")),
      log: (_level, message) => warned.push(message),
    });
    await deaf.stopping();
    expect(warned).toEqual([expect.stringContaining("STOPPING=1")]);
  });

  test.each([
    [{}, undefined],
    [{ WATCHDOG_USEC: "30000000" }, 15_000],
    [{ WATCHDOG_USEC: "30000000", WATCHDOG_PID: String(process.pid) }, 15_000],
    [{ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "1" }, undefined],
    [{ WATCHDOG_USEC: "0" }, undefined],
    [{ WATCHDOG_USEC: "many" }, undefined],
    [{ WATCHDOG_USEC: "1" }, 50],
  ])("the watchdog of %p is fed every %p ms", (env, everyMs) => {
    expect(watchdogMs(env)).toBe(everyMs);
  });
});

test.each([
  ["", undefined],
  ["-- No entries --", undefined],
  ["Started Cairn.\ncairn: The port is in use\n  try: Stop it.\nFailed.", "The port is in use\n  try: Stop it."],
  ["cairn: first\ncairn: last\nFailed with result 'exit-code'.", "last"],
  ["one\ntwo\nthree\nfour\nfive\nsix", "two\n  three\n  four\n  five\n  six"],
])("the last words of the journal %j are %p", (journal, words) => {
  expect(lastWords(journal)).toBe(words);
});

test("a launchd job that ends right after its start is taken back, with its last words from the log file", async () => {
  const folder = temporaryFolder();
  const [path, logFile, calls] = [join(folder, "job"), join(folder, "log"), join(folder, "calls")];
  writeFileSync(logFile, "cairn: an error of last week\n");
  // Stands for launchctl: bootstrap succeeds at once, the job ends, and print tells its exit code.
  const launchctl = (script: string) => ["sh", "-c", `echo "${script.split(" ")[0]}" >> ${calls}; ${script}`];
  const service: Service = {
    ...{ kind: "launchd", path, text: "new", account: undefined, enable: [], reload: [], forget: [], paths: [] },
    ...{ journal: undefined, logFile, disable: [launchctl("true bootout")] },
    restart: [
      launchctl("false bootout"),
      launchctl(`printf 'cairn: The port is in use\\n  try: Stop it.\\n' >> ${logFile}`),
    ],
    state: launchctl("printf '\\tstate = spawn scheduled\\n\\tlast exit code = 20\\n'"),
  };
  const install = async () => {
    writeFileSync(path, "new");
    await restart(service);
  };
  const fault = await orTakeBack(service, { text: undefined, active: false }, install).catch((error) => error);
  expect(fault.message).toBe("The service did not start: The port is in use\n  try: Stop it.\n  Nothing is installed.");
  expect([existsSync(path), readFileSync(calls, "utf8").trim().split("\n").at(-1)]).toEqual([false, "true"]);
  // One that goes on is left alone.
  const running = { ...service, state: ["sh", "-c", "printf 'state = running\\nlast exit code = (never exited)\\n'"] };
  await expect(restart(running)).resolves.toBeUndefined();
});

test("what was installed before runs again also where its manager had nothing to unload, as with launchd", async () => {
  const path = join(temporaryFolder(), "job");
  writeFileSync(path, "new");
  const nothing = { enable: [], reload: [], disable: [], forget: [], paths: [], state: [], journal: undefined };
  const restart = [["false"], ["true"]];
  const service: Service = { kind: "launchd", path, text: "new", account: undefined, ...nothing, restart };
  const failing = () => Promise.reject(new Fault("not_running", "The service did not start", { hint: "Mend that." }));
  const fault = await orTakeBack(service, { text: "old", active: true }, failing).catch((error) => error);
  expect(fault.message).toBe("The service did not start\n  What was installed before is back, and runs.");
  expect(readFileSync(path, "utf8")).toBe("old");
});
