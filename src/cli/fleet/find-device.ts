// Finds the device that a fleet command means: by its exact id, or by the exact name that the tailnet proves
// (security.md 10). The name that a device gives itself is a claim: it is shown, and never matched.

import { Fault } from "../../lib/fault.ts";
import { cell } from "../output.ts";

/** A device in an answer of fleet_members: a member, or a device that asks to join. */
export interface ListedDevice {
  node: string;
  /** What it calls itself. */
  name: string;
  /** First label of its MagicDNS name; "" where the tailnet does not show it. */
  tailnet_name: string;
  server?: string;
  role: string;
}

/** Returns the device with this id or tailnet name. Faults `not_found`, `invalid_input`. */
export function findDevice<Device extends ListedDevice>(word: string, list: readonly Device[], what: string): Device {
  const byId = list.find(({ node }) => node === word);
  if (byId !== undefined) return byId;
  const wanted = word.toLowerCase();
  const found = list.filter(({ tailnet_name }) => tailnet_name !== "" && tailnet_name.toLowerCase() === wanted);
  const [first] = found;
  if (first !== undefined && found.length === 1) return first;
  if (first !== undefined) {
    throw new Fault("invalid_input", `${found.length} of them are called ${JSON.stringify(word)}`, {
      hint: `Name it by its id: ${found.map(({ node }) => node).join(", ")}.`,
    });
  }
  const claims = list.filter(({ name }) => name === word);
  const shown = claims.length > 0 ? claims : list;
  const why = claims.length > 0 ? `; only its own claim is ${JSON.stringify(word)}` : "";
  throw new Fault("not_found", `No ${what} has the id or the tailnet name ${JSON.stringify(word)}${why}`, {
    hint:
      list.length === 0 ? "cairn members lists all of them." : `There are: ${shown.map(describeDevice).join(", ")}.`,
  });
}

/** Returns the device in words: its tailnet name and id, and what it calls itself where that differs. */
export function describeDevice({ node, name, tailnet_name }: ListedDevice): string {
  if (tailnet_name === "") return `${node}, not seen on the tailnet now, which calls itself ${cell(name)}`;
  const claim = name === tailnet_name ? "" : `, which calls itself ${cell(name)}`;
  return `${cell(tailnet_name)} (${node})${claim}`;
}

/** Returns what to type for this device. */
export function wordFor({ node, tailnet_name }: ListedDevice): string {
  return tailnet_name === "" ? node : cell(tailnet_name);
}

/**
 * Reports whether a name that was typed could have been meant for another device: the found one calls itself otherwise,
 * or another one calls itself so. An id is never ambiguous.
 */
export function isAmbiguous(word: string, found: ListedDevice, all: readonly ListedDevice[]): boolean {
  if (word === found.node) return false;
  const isClaimed = ({ node, name }: ListedDevice): boolean =>
    node !== found.node && name.toLowerCase() === word.toLowerCase();
  return found.name !== found.tailnet_name || all.some(isClaimed);
}
