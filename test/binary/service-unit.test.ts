// Services that are units, under a real systemd: the unit runs while it is held, with its fence, and ends with the unit
// of the node, however that ends. What is not bound, or starts by itself, is refused.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { unitWords } from "../../src/features/service/unit.ts";
import { shellQuoted } from "../../src/lib/shell-quoted.ts";
import { eventually } from "../kit/eventually.ts";
import { noSystemd, SystemdMachine } from "../kit/systemd.ts";

const missing = noSystemd();
const VALUES = "XDG_RUNTIME_DIR=/run CAIRN_SERVICE=wiki CAIRN_FENCE=1-57 CAIRN_LEASE=l";

describe.skipIf(missing !== undefined)(
  `services that are units [needs ${missing ?? "systemd-nspawn and root"}]`,
  () => {
    let machine: SystemdMachine;
    const ok = async (line: string): Promise<string> => {
      const { code, out, err } = await machine.sh(line);
      expect({ line, code, err }).toMatchObject({ code: 0 });
      return out;
    };
    const stateOf = async (unit: string) => (await machine.sh(`systemctl is-active ${unit}`)).out;
    const become = async (unit: string, state: "active" | "over") => {
      let seen = "";
      await eventually(
        `${unit} to be ${state}`,
        async () => {
          seen = await stateOf(unit);
          return state === "active" ? seen === state : !["active", "activating", "deactivating"].includes(seen);
        },
        { withinMs: 15_000, seen: () => seen },
      );
    };
    /** Begins to hold a unit, as a node does that runs as node.service. */
    const hold = async (unit: string, more = "") => {
      await become("node.service", "over");
      writeFileSync(
        join(machine.root, "srv/hold.sh"),
        `exec ${unitWords("hold", unit, 3000).map(shellQuoted).join(" ")}`,
      );
      const service = [
        "ExecStart=/bin/sh /srv/hold.sh",
        `Environment=${VALUES}`,
        "StandardError=truncate:/srv/said",
        more,
      ];
      writeFileSync(join(machine.root, "etc/systemd/system/node.service"), `[Service]\n${service.join("\n")}\n`);
      await ok("systemctl daemon-reload; systemctl reset-failed; systemctl start node.service");
    };
    const said = () => ok("cat /srv/said");
    const unit = (name: string, head: string, tail = "") =>
      writeFileSync(
        join(machine.root, `etc/systemd/system/${name}`),
        `[Unit]\n${head}\n[Service]\nEnvironmentFile=/run/cairn-services/${name}.env\nExecStart=/bin/sleep 1000\n${tail}\n`,
      );

    beforeAll(async () => {
      machine = await SystemdMachine.boot("/bin/true");
      const bound = "BindsTo=node.service\nAfter=node.service";
      unit("wiki.service", bound);
      unit("stubborn.service", bound, "TimeoutStopSec=60\nExecStop=/bin/sleep 50");
      unit("loose.service", "Description=loose");
      unit("early.service", bound, "[Install]\nWantedBy=multi-user.target");
      await ok("systemctl daemon-reload && systemctl enable early.service");
    }, 300_000);
    afterAll(() => machine[Symbol.asyncDispose]());

    test("it runs while it is held, with its fence, and is stopped with what holds it", async () => {
      await hold("wiki.service");
      await become("wiki.service", "active");
      const environment = await ok("tr '\\0' '\\n' </proc/$(systemctl show -p MainPID --value wiki.service)/environ");
      expect(environment).toContain("CAIRN_FENCE=1-57");
      await ok("systemctl kill --signal=SIGTERM node.service");
      await become("node.service", "over");
      expect(await stateOf("wiki.service")).toBe("inactive");
    }, 60_000);

    test("it ends where what holds it is killed, or frozen until the watchdog comes", async () => {
      await hold("wiki.service");
      await become("wiki.service", "active");
      await ok("systemctl kill --signal=SIGKILL node.service");
      await become("wiki.service", "over");
      await become("node.service", "over");
      await hold("wiki.service", "WatchdogSec=3");
      await become("wiki.service", "active");
      await ok("systemctl kill --signal=SIGSTOP node.service");
      await become("wiki.service", "over");
      await become("node.service", "over");
    }, 120_000);

    test("a unit that does not stop in time is killed", async () => {
      await hold("stubborn.service");
      await become("stubborn.service", "active");
      await ok("systemctl kill --signal=SIGTERM node.service");
      await become("node.service", "over");
      expect(await stateOf("stubborn.service")).not.toMatch(/^(?:active|deactivating)$/);
    }, 60_000);

    test("a unit that ends by itself ends what holds it, with the reason; one left running is ended", async () => {
      await hold("wiki.service");
      await become("wiki.service", "active");
      await ok("systemctl kill --signal=SIGKILL wiki.service");
      await become("node.service", "over");
      expect(await said()).toContain("wiki.service is failed: signal");
      writeFileSync(join(machine.root, "srv/hold.sh"), "exec sleep 1000");
      await ok("systemctl reset-failed; systemctl start node.service; systemctl start wiki.service");
      const end = unitWords("end", "wiki.service", 3000).map(shellQuoted).join(" ");
      await ok(end);
      expect(await stateOf("wiki.service")).toBe("inactive");
      await ok(`${end}; systemctl stop node.service`);
    }, 60_000);

    test.each([
      ["loose.service", "is not bound to the node: add BindsTo=node.service"],
      ["early.service", "starts at boot without asking the leader"],
      ["none.service", "there is no unit none.service"],
    ])(
      "%s is refused: %s",
      async (name, why) => {
        await hold(name);
        await become("node.service", "over");
        expect(await said()).toContain(why);
        expect(await stateOf(name)).toBe("inactive");
      },
      60_000,
    );
  },
);
