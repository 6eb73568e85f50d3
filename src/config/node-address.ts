// Finds the address of a node for a client on this machine: a URL that a person gave, or the local socket of a data
// folder.

import { existsSync, lstatSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { Fault } from "../lib/fault.ts";
import type { Environment } from "./environment.ts";
import { socketCandidates } from "./paths.ts";

/** A node's local socket, or its origin such as `http://cairn`. */
export type NodeAddress = { socketPath: string } | { url: string };

/** Returns the origin of a URL that a person gave for a node. Throws Fault `invalid_input` for anything else. */
export function nodeOrigin(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol) || parsed.username !== "" || parsed.password !== "") {
    throw new Fault("invalid_input", `${JSON.stringify(url)} is not the address of a node`, {
      hint: "Write it as http://cairn or https://cairn.your-tailnet.ts.net.",
    });
  }
  return parsed.origin;
}

/** Returns the local socket of the node with this data folder. Throws Fault `not_running` when there is none. */
export function localAddress(dataDir: string, env: Environment): { socketPath: string } {
  const owner = existsSync(dataDir) ? statSync(dataDir).uid : process.getuid?.();
  const found = socketCandidates(dataDir, env).find((path) => {
    // The socket's folder must have the same owner as the data folder: in /tmp anyone can make a folder of that name.
    const folder = lstatSync(dirname(path), { throwIfNoEntry: false });
    return folder?.isDirectory() === true && folder.uid === owner && existsSync(path);
  });
  if (found !== undefined) return { socketPath: found };
  throw new Fault("not_running", `No cairn node runs with the data folder ${dataDir}`, {
    hint: "Start one with `cairn serve`, name its data folder with --data, or name another node with --url.",
  });
}
