// How services are fenced, in words.

import { expect, test } from "bun:test";
import { serviceShape } from "../../src/features/service/declared.ts";
import { FENCES, fencingOf } from "../../src/features/service/fencing.ts";

test.each([
  [{ argv: ["wiki"] }, "none"],
  [{ argv: ["wiki", "-d"] }, "none"],
  [{ argv: ["wiki"], fence: "resource" }, "resource"],
  [{ unit: "wiki.service" }, "watchdog"],
  [{ unit: "wiki.service", fence: "resource" }, "resource"],
  [{ argv: ["docker", "run", "--rm", "wiki"] }, "none"],
  [{ argv: ["docker", "run", "-d", "wiki"] }, "unfenced"],
  [{ argv: ["/usr/bin/docker", "run", "-itd", "wiki"] }, "unfenced"],
  [{ argv: ["podman", "run", "--detach", "wiki"] }, "unfenced"],
  [{ argv: ["docker", "compose", "up", "--detach=true"] }, "unfenced"],
  [{ argv: ["docker", "run", "-d", "wiki"], fence: "resource" }, "resource"],
] as const)("%j is fenced by: %s", (declared, fencing) => {
  expect(FENCES).toContain(fencingOf(serviceShape.parse(declared)));
  expect(fencingOf(serviceShape.parse(declared))).toBe(fencing);
});
