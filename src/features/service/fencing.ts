// What keeps an older copy of a service from doing harm, as every answer and page says it.

import { basename } from "node:path";
import type { ServiceShape } from "./declared.ts";

/** From the strongest to none. */
export const FENCES = ["resource", "watchdog", "none", "unfenced"] as const;
/** One of FENCES. */
export type Fencing = (typeof FENCES)[number];

/** For help. */
export const FENCES_TEXT =
  "resource: what it writes to refuses an older fence. watchdog: a unit of systemd, which ends with that of the node. none: only its guard sees to one copy at a time. unfenced: it detaches itself, so not even its guard can end it.";

/** For pages. */
export const FENCE_WORDS: Readonly<Record<Fencing, string>> = {
  resource: "the resource, and its guard",
  watchdog: "systemd, and its guard",
  none: "its guard alone",
  unfenced: "nothing: it detaches itself",
};

/** Programs whose containers are children of a daemon and not of them. */
const ENGINES: ReadonlySet<string> = new Set(["docker", "podman", "nerdctl"]);
/** Words that leave a container running behind a program that ends. */
const DETACHED = /^(?:-[a-zA-Z]*d[a-zA-Z]*|--detach(?:=true)?)$/;

/** Returns how a service is fenced. */
export function fencingOf({ fence, unit, argv = [] }: Pick<ServiceShape, "fence" | "unit" | "argv">): Fencing {
  if (fence === "resource") return "resource";
  if (unit !== undefined) return "watchdog";
  const isEngine = ENGINES.has(basename(argv[0] ?? ""));
  return isEngine && argv.slice(1).some((word) => DETACHED.test(word)) ? "unfenced" : "none";
}
