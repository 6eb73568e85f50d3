// The compiled file as a service of a real systemd: what the installation refuses before it writes, what it takes back,
// folders inside the sandbox, a disk for backups that comes and goes, and root and others beside the service's account.

import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { host } from "../../scripts/targets.ts";
import { buildDist } from "../kit/dist.ts";
import { noSystemd, SystemdMachine } from "../kit/systemd.ts";

const UNIT = "/etc/systemd/system/cairn.service";
const ROOT_HOME = "/root";
const HOME = ["/home", "ann"].join("/");
const missing = noSystemd();

describe.skipIf(missing !== undefined)(`a service [needs ${missing ?? "systemd-nspawn and root"}]`, () => {
  let machine: SystemdMachine;
  const sh = (line: string, account?: string) => machine.sh(line, account);
  const ok = async (line: string, account?: string): Promise<string> => {
    const { code, out, err } = await sh(line, account);
    expect({ line, code, err }).toMatchObject({ code: 0 });
    return out;
  };

  beforeAll(async () => {
    machine = await SystemdMachine.boot(await buildDist(host?.name ?? "linux-x64"));
  }, 600_000);
  afterAll(() => machine[Symbol.asyncDispose]());

  test.each([
    ["cp /usr/local/bin/cairn /tmp/cairn; /tmp/cairn service install", "its sandbox hides /tmp"],
    [
      "mkdir -m 700 /opt/mine; cp /usr/local/bin/cairn /opt/mine/; /opt/mine/cairn service install",
      "/opt/mine is closed",
    ],
    [`cairn service install --data ${HOME}/cairn`, `cannot see --data ${HOME}/cairn: its sandbox hides /home`],
    [`ln -s ${ROOT_HOME}/hidden /srv/link; cairn service install --data /srv/link/x`, "its sandbox hides /root"],
    ["umask 077; echo > /etc/own.toml; cairn service install --config /etc/own.toml", "/etc/own.toml is closed to it"],
    [
      `echo '[backup]\nfolder = "${HOME}/b"' > /srv/b.toml; cairn service install --config /srv/b.toml`,
      `cannot see backup.folder ${HOME}/b`,
    ],
    ["setpriv --reuid=daemon --clear-groups cairn service install", "Run it with sudo"],
  ])("%s is refused before anything is written", async (line, why) => {
    const { code, err } = await sh(line);
    expect([code === 2 || code === 10, err]).toEqual([true, expect.stringContaining(why)]);
    expect(await sh(`test -e ${UNIT} || grep -q ^cairn: /etc/passwd`)).toMatchObject({ code: 1 });
  });

  test("a first start that fails is taken back, with the node's reason", async () => {
    await ok("echo 'hostnam = \"x\"' > /srv/broken.toml");
    const { code, err } = await sh("cairn service install --config /srv/broken.toml");
    expect([code, err]).toEqual([32, expect.stringContaining('Unknown setting "hostnam" in /srv/broken.toml')]);
    expect(err).toContain("Did you mean hostname?");
    expect(err).toContain("Nothing is installed.");
    expect(await sh(`test -e ${UNIT}`)).toMatchObject({ code: 1 });
    expect((await sh("systemctl is-enabled cairn; systemctl list-units --failed | grep cairn")).out).not.toContain(
      "cairn",
    );
  });

  test("a data folder of its own is made, owned and used; a relative one is made absolute", async () => {
    await ok("echo '[backup]\nfolder = \"/mnt/stick/cairn\"' > /srv/cairn.toml; mkdir -p /mnt/stick");
    await ok("cd /srv && cairn service install --data agents/cairn --config cairn.toml");
    expect(await ok("stat -c '%U %a' /srv/agents/cairn /srv/agents")).toBe("cairn 700\nroot 755");
    expect(await ok("systemctl is-active cairn")).toBe("active");
    expect(await ok("cairn status --data /srv/agents/cairn")).toContain("status");
    expect(await ok("cd /srv && cairn service install --data agents/cairn --config cairn.toml")).toContain("unchanged");
  });

  test("a disk for backups that is mounted later, taken off and mounted again is written to each time", async () => {
    const backups = "cairn backup list --json --data /srv/agents/cairn";
    expect(await sh("cairn backup now --data /srv/agents/cairn")).not.toMatchObject({ code: 0 });
    for (const disk of ["first", "second"]) {
      await ok(`mount -t tmpfs ${disk} /mnt/stick && mkdir -m 700 /mnt/stick/cairn && chown cairn: /mnt/stick/cairn`);
      await ok("cairn backup now --data /srv/agents/cairn");
      expect((await ok("ls /mnt/stick/cairn")).split("\n").length).toBe(1);
      expect(JSON.parse(await ok(backups)).backups.length).toBe(1);
      await ok("umount /mnt/stick");
      expect(await ok("ls /mnt/stick")).toBe("");
    }
  });

  test("an update that does not start is taken back, and the service of before runs", async () => {
    const before = await ok(`cat ${UNIT}`);
    const { code, err } = await sh("cairn service install --data /srv/agents/cairn --config /srv/broken.toml");
    expect([code, err]).toEqual([32, expect.stringContaining("What was installed before is back, and runs.")]);
    expect(await ok(`cat ${UNIT}`)).toBe(before);
    expect(await ok("systemctl is-active cairn")).toBe("active");
  });

  test("root beside the account is sent to it, and never to chown", async () => {
    for (const line of ["backup /srv/copy", "recover --accept-loss", "serve", "join berlin", "backup --verify /srv"]) {
      const { code, err } = await sh(`cairn ${line} --data /srv/agents/cairn`);
      expect(code).not.toBe(0);
      expect(err).not.toContain("chown");
      if (!line.includes("--verify")) expect(err).toContain("sudo -u cairn cairn");
    }
    await sh("cairn doctor --data /srv/agents/cairn --config /srv/cairn.toml");
    expect(await ok("find /srv/agents/cairn ! -user cairn")).toBe("");
    expect(await ok("cairn status --data /srv/agents/cairn", "cairn")).toContain("status");
    await ok("cairn backup /mnt/stick/../../var/tmp/copy --data /srv/agents/cairn", "cairn");
  });

  test("another user reads whose node it is", async () => {
    const named = await sh("cairn status --data /srv/agents/cairn", "daemon");
    expect([named.code, named.err]).toEqual([10, expect.stringContaining("is open to cairn (uid ")]);
    expect(named.err).toContain("sudo -u cairn cairn");
    const unnamed = await sh("cairn status", "daemon");
    expect([unnamed.code, unnamed.err]).toEqual([
      32,
      expect.stringContaining("ask this machine's service: sudo -u cairn"),
    ]);
  });

  test("the runtime folder of somebody else, left by su, is not used", async () => {
    await ok("mkdir -p -m 700 /run/user/0");
    const line = "XDG_RUNTIME_DIR=/run/user/0 HOME=/var/tmp/n timeout 5 cairn dev --port 0 | head -c 20";
    expect(await ok(`mkdir -p /var/tmp/n; chmod 777 /var/tmp/n; true`)).toBe("");
    expect((await sh(line, "daemon")).out).toContain('"event"');
  });

  test("in the default folder the account needs no flags; the data of a node that root ran stays its own", async () => {
    await ok("cairn service uninstall");
    expect(await sh("systemctl is-active cairn")).toMatchObject({ out: "inactive" });
    await ok("cairn service install");
    expect(await ok("cairn status", "cairn")).toContain("status");
    await ok("cairn service uninstall");
    await ok("mkdir -p -m 700 /srv/rooted && echo data > /srv/rooted/cairn.lock");
    const { code, err } = await sh("cairn service install --data /srv/rooted");
    expect([code, err]).toEqual([43, expect.stringContaining("holds the data of root (uid 0)")]);
    expect(err).not.toContain("chown");
    expect(await ok("stat -c %U /srv/rooted /srv/rooted/cairn.lock")).toBe("root\nroot");
  });

  /** Another version of the compiled file: the name of its commit is in it as text. */
  const otherCommit = async (): Promise<{ commit: string; bytes: Buffer }> => {
    const { commit } = JSON.parse(await ok("cairn version --json")) as { commit: string };
    const bytes = readFileSync(join(machine.root, "usr/local/bin/cairn"));
    const other = "f".repeat(commit.length);
    for (let at = bytes.indexOf(commit); at >= 0; at = bytes.indexOf(commit, at + 1)) bytes.write(other, at);
    return { commit: other, bytes };
  };
  /** Puts a file into the machine and returns the words that upgrade to it. */
  const offer = async (name: string, bytes: string | Buffer): Promise<string> => {
    await ok("mkdir -p /srv/new");
    writeFileSync(join(machine.root, "srv/new", name), bytes);
    return `cairn upgrade /srv/new/${name} --sha256 ${(await ok(`sha256sum /srv/new/${name}`)).slice(0, 64)}`;
  };
  /** A file that says a version, and serves as told. */
  const script = (version: string, serve: string) =>
    `#!/bin/sh\n[ "$1" = serve ] || exec echo '{"version":"${version}","commit":"new"}'\n${serve}\n`;
  const hashOf = (file: string) => ok(`sha256sum < ${file}`);
  const pid = () => ok("systemctl show cairn --property=MainPID --value");
  const BIN = "/usr/local/bin/cairn";

  test("an upgrade restarts the service, and can be put back", async () => {
    await ok("cairn service install");
    const [before, old] = [await pid(), await hashOf(BIN)];
    const { commit, bytes } = await otherCommit();
    const words = await offer("good", bytes);
    expect(await ok(`${words} --check`)).toContain("its node would be restarted");
    expect([await pid(), await hashOf(BIN)]).toEqual([before, old]);
    const upgraded = await sh(words);
    expect([upgraded.code, upgraded.out]).toEqual([0, expect.stringContaining(`(${commit}); its node was restarted`)]);
    expect(upgraded.err).toContain("no copy of the state is made");
    expect(await ok("cairn status", "cairn")).toContain(commit);
    expect(await hashOf(`${BIN}.previous`)).toBe(old);
    const after = await pid();
    expect(after).not.toBe(before);
    expect(await ok(words)).toContain("is that file already");
    expect(await pid()).toBe(after);
    expect(await ok("cairn upgrade --rollback")).toContain("its node was restarted");
    expect(await hashOf(BIN)).toBe(old);
    expect(await ok("cairn status", "cairn")).not.toContain(commit);
  }, 120_000);

  test("an upgrade whose node does not start, or does not become the new one, is taken back", async () => {
    const old = await hashOf(BIN);
    const words = await offer("broken", script("9.0.0", "echo 'cairn: the disk is on fire' >&2; exit 1"));
    const broken = await sh(words);
    expect([broken.code, broken.err]).toEqual([32, expect.stringContaining("the disk is on fire")]);
    expect(broken.err).toContain("is back and ready");
    // It serves, and says that it is another one than its file.
    await ok(`cp ${BIN} /usr/local/lib/cairn-real`);
    const stale = await sh(
      `${await offer("stale", script("9.0.1", 'exec /usr/local/lib/cairn-real "$@"'))} --ready-timeout 3`,
    );
    expect([stale.code, stale.err]).toEqual([32, expect.stringContaining("the node still is")]);
    expect(await hashOf(BIN)).toBe(old);
    expect(await ok("systemctl is-active cairn; ls -A /usr/local/bin | grep -c cairn-upgrade || true")).toBe(
      "active\n0",
    );
    const before = await pid();
    for (const [version, why] of [
      ["0.0.1", "--allow-downgrade"],
      ["9".repeat(65), "does not run on this machine"],
    ] as const) {
      const refused = await sh(await offer("refused", script(version, "")));
      expect([refused.code, refused.err]).toEqual([2, expect.stringContaining(why)]);
    }
    expect(await pid()).toBe(before);
  }, 120_000);

  test("an upgrade that the node itself has started is refused: it would end with the node", async () => {
    const words = await offer("inside", (await otherCommit()).bytes);
    const [before, old] = [await pid(), await hashOf(BIN)];
    const enter = `for p in /sys/fs/cgroup/*/system.slice/cairn.service /sys/fs/cgroup/system.slice/cairn.service; do
      [ -e "$p/cgroup.procs" ] && echo $$ > "$p/cgroup.procs"; done`;
    // With another starter than the node, as a program that has left its session.
    const refused = await sh(`sh -c '${enter}; ${words}'`);
    expect([refused.code, refused.err]).toEqual([2, expect.stringContaining("has started this command itself")]);
    expect(refused.err).toContain("systemd-run");
    expect([await pid(), await hashOf(BIN)]).toEqual([before, old]);
  }, 120_000);

  test("a version that has migrated the state stays, and the steps that are said lead back", async () => {
    const old = await hashOf(BIN);
    const put = (id: string) => ok(`echo text | cairn context put ${id} -`, "cairn");
    await put("team-a/before");
    // What a newer build does at its start, with the level that the next one will have.
    const raised = "/srv/new/raised.db";
    await ok("cairn backup /var/lib/cairn/copy", "cairn");
    await ok(`cp /var/lib/cairn/copy/cairn.db ${raised} && chmod 644 ${raised}`);
    const database = new Database(join(machine.root, raised));
    database.run("UPDATE meta SET value = '99' WHERE key = 'fleet_level'");
    database.close();
    const store = "/var/lib/cairn/store/1";
    const serve = `cp ${raised} ${store}/cairn.db; rm -f ${store}/cairn.db-*; echo 'cairn: no luck' >&2; exit 1`;
    const { code, err } = await sh(await offer("newer", script("9.0.2", serve)));
    expect([code, err]).toEqual([32, expect.stringContaining("It stays, since it has raised the state to level 99")]);
    const folder = /restore --aside (\/var\/lib\/cairn\/backups\/\S+),/.exec(err)?.[1] ?? "";
    expect({ err, folder }).not.toMatchObject({ folder: "" });
    expect(await hashOf(BIN)).not.toBe(old);
    await ok("systemctl stop cairn");
    // The new file is a script here, so the earlier one does what its command line says.
    await ok(`cp ${BIN}.previous ${BIN}`);
    await ok(`cairn restore --aside ${folder}`, "cairn");
    await ok("systemctl reset-failed cairn; systemctl start cairn");
    expect(await hashOf(BIN)).toBe(old);
    expect(await ok("cairn context get team-a/before", "cairn")).toContain("text");
  }, 180_000);
});
