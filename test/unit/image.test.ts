// Dockerfile and compose.yaml against the program: every command, flag, value, variable, path and name in them exists
// here.

import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { COMMANDS } from "../../src/cli/table.ts";
import { loadSettings } from "../../src/config/load.ts";
import { SECRET_NAMES } from "../../src/config/secrets.ts";
import { envOf, flagOf } from "../../src/config/setting.ts";
import { SETTING_ROWS, SETTING_TABLES } from "../../src/features/index.ts";
import { composeFile, dockerfile, madeFoldersOf, ROOT, stringsOf } from "../kit/image.ts";

const read = (file: string): string => readFileSync(join(ROOT, file), "utf8");
const { all, instructions } = dockerfile();
const compose = composeFile();
const madeFolders = madeFoldersOf(all);
const services = Object.entries(compose.services);

/** What is wrong with the words of a `cairn` command line. */
function problemsOf(words: readonly string[]): string[] {
  const command = COMMANDS.find(({ words: own }) => own.every((word, at) => words[at] === word));
  if (command === undefined) return [`cairn ${words.join(" ")}: no such command`];
  const known = new Map((command.options ?? []).map(({ flags }) => [flags.split(" ")[0] ?? "", flags.includes("<")]));
  if (command.asksNode === true) known.set("--data", true).set("--url", true).set("--json", false);
  const problems: string[] = [];
  for (let at = command.words.length; at < words.length; at++) {
    const word = words[at] ?? "";
    const [flag = "", value] = word.split("=");
    if (!flag.startsWith("--")) {
      if ((command.args ?? []).length === 0) problems.push(`${word} is no argument of ${command.words.join(" ")}`);
    } else if (!known.has(flag)) problems.push(`${command.words.join(" ")} has no ${flag}`);
    else if (known.get(flag) === true && value === undefined) at++;
  }
  return problems;
}

describe("Dockerfile", () => {
  test("what it copies is there and not left out, and stages are named before they are used", () => {
    const ignored = read(".dockerignore").split("\n");
    const stages = new Set<string>();
    for (const { word, rest } of instructions) {
      if (word === "FROM") stages.add(/ AS (\S+)$/.exec(rest)?.[1] ?? "final");
      if (word !== "COPY") continue;
      const from = /--from=(\S+)/.exec(rest)?.[1];
      const sources = rest
        .split(" ")
        .filter((part) => !part.startsWith("--"))
        .slice(0, -1);
      if (from !== undefined) expect([...stages]).toContain(from);
      else
        for (const source of sources) {
          expect(`${source} ${existsSync(join(ROOT, source))}`).toBe(`${source} true`);
          expect(ignored).not.toContain(source.split("/")[0]);
        }
    }
    // Nothing of this machine, and no secret, goes into the image.
    for (const name of [".git", "node_modules", "dist", "build", "secrets"]) expect(ignored).toContain(name);
    expect(Object.values(compose.secrets).map(({ file }) => file)).toEqual(["./secrets/ts_authkey"]);
  });

  test("it builds by a script of package.json, with Go and Node that are new enough", () => {
    const build = all("RUN", "build").find((line) => line.includes("npm run")) ?? "";
    expect(build).toContain('npm run build -- --target "linux-$(node -p process.arch)"');
    expect(JSON.parse(read("package.json")).scripts.build).toBeDefined();
    for (const target of ["linux-x64", "linux-arm64"])
      expect(read("scripts/targets.ts")).toContain(`name: "${target}"`);
    const argument = (name: string) => new RegExp(`^${name}=(.*)$`, "m").exec(all("ARG").join("\n"))?.[1] ?? "";
    const wanted = /^go (\d+\.\d+)/m.exec(read("native/go.mod"))?.[1] ?? "";
    expect(argument("GO")).toBe(wanted);
    expect(Number(argument("NODE"))).toBeGreaterThanOrEqual(20);
  });

  test("it runs as the uid that owns the folders, and its words exist", () => {
    const run = all("RUN", "final")[0] ?? "";
    const uid = /--uid (\d+)/.exec(run)?.[1];
    expect(all("USER")).toEqual([`${uid}:${uid}`]);
    expect(Number(uid)).toBeGreaterThan(0);
    expect(madeFolders).toContain(all("VOLUME")[0] ?? "");
    const environment = Object.fromEntries((all("ENV")[0] ?? "").split(" ").map((pair) => pair.split("=")));
    expect(environment["CAIRN_DATA"]).toBe(all("VOLUME")[0] ?? "");
    expect(problemsOfEnvironment(environment)).toEqual([]);
    const health = /CMD (\[.*\])$/.exec(all("HEALTHCHECK")[0] ?? "")?.[1] ?? "[]";
    expect([stringsOf(health), stringsOf(all("ENTRYPOINT")[0])].map(([first]) => first)).toEqual(["cairn", "cairn"]);
    expect(problemsOf(stringsOf(health).slice(1))).toEqual([]);
    expect(problemsOf(stringsOf(all("CMD")[0]))).toEqual([]);
    expect(all("STOPSIGNAL")).toEqual(["SIGTERM"]);
    expect(all("EXPOSE")).toEqual([]);
  });
});

function problemsOfEnvironment(environment: Readonly<Record<string, string>>): string[] {
  const known = new Set([
    ...SETTING_ROWS.map(([key]) => envOf(key)),
    ...SECRET_NAMES.map((name) => `${name}_FILE`),
    ...["HOME", "TMPDIR", "XDG_RUNTIME_DIR"],
  ]);
  return Object.keys(environment).filter((name) => !known.has(name));
}

describe("compose.yaml", () => {
  test("one central, one regional, one edge, the simulator, and what gives them tickets", () => {
    const roles = services.flatMap(([, { command = [] }]) =>
      command[0] === "serve" ? [wordAfter(command, "--role")] : [],
    );
    expect(roles).toEqual(["central", "regional", "edge"]);
    expect(Object.keys(compose.services)).toEqual(["central", "tickets", "regional", "edge", "simulator"]);
  });

  test.each(services)("%s: its command, variables, mounts and order are right", (_name, service) => {
    const lines =
      service.entrypoint === undefined
        ? [service.command ?? []]
        : [...(service.command?.[0] ?? "").matchAll(/^ *cairn (.*?) >/gm)].map((match) => (match[1] ?? "").split(" "));
    expect(lines.length).toBeGreaterThan(0);
    for (const words of lines) expect(problemsOf(words)).toEqual([]);
    expect(problemsOfEnvironment(service.environment ?? {})).toEqual([]);
    const mounts = (service.volumes ?? []).map((volume) => volume.split(":"));
    for (const [volume = "", target = ""] of mounts) {
      expect(Object.keys(compose.volumes)).toContain(volume);
      expect(madeFolders).toContain(target);
    }
    const places = [
      ...mounts.map(([, target = ""]) => target),
      ...(service.secrets ?? []).map((name) => `/run/secrets/${name}`),
    ];
    for (const path of Object.values(service.environment ?? {}))
      expect(`${path} ${places.some((place) => path.startsWith(place))}`).toBe(`${path} true`);
    for (const [other, { condition }] of Object.entries(service.depends_on ?? {})) {
      const { command, healthcheck } = compose.services[other] ?? {};
      expect(command).toBeDefined();
      expect([condition, healthcheck?.disable === true]).toEqual(
        condition === "service_healthy" ? [condition, false] : ["service_completed_successfully", true],
      );
    }
  });

  test("the settings that serve gets are taken, and names lead to nodes of the file", () => {
    const hostnames = services.flatMap(([, { command = [] }]) =>
      command[0] === "serve" ? [wordAfter(command, "--hostname")] : [],
    );
    for (const [, { command = [] }] of services) {
      const urls = command.filter((word) => word.startsWith("--url=")).map((word) => new URL(word.slice(6)).hostname);
      expect(urls.filter((host) => !hostnames.includes(host))).toEqual([]);
      if (command[0] !== "serve") continue;
      const flags = Object.fromEntries(SETTING_ROWS.map(([key]) => [key, wordAfter(command, flagOf(key))]));
      const given = Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined));
      expect(loadSettings({ tables: SETTING_TABLES, flags: given, env: {} }).settings.hostname).toBe(
        given["hostname"] ?? "",
      );
      expect([undefined, ...hostnames]).toContain(given["join"]);
    }
    for (const script of [compose.services["tickets"]?.command?.[0] ?? ""])
      expect(/for role in (.*); do/.exec(script)?.[1]).toBe("regional edge");
  });

  test("no service has privileges, ports or the host's network", () => {
    for (const [, service] of services) {
      expect(service).toMatchObject({ cap_drop: ["ALL"], read_only: true, security_opt: ["no-new-privileges:true"] });
      for (const key of ["privileged", "ports", "network_mode", "devices", "cap_add", "pid", "user"])
        expect(Object.keys(service)).not.toContain(key);
    }
  });
});

function wordAfter(command: readonly string[], flag: string): string | undefined {
  const at = command.indexOf(flag);
  return at < 0 ? undefined : command[at + 1];
}
