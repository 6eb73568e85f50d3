// What Cairn's own events are about, read from their subjects: services, probes, jobs, rules and members.

import { incidentsAddress, jobAddress, probeAddress, serviceAddress } from "../../../page/thing-link.ts";

/** A thing that events are about. */
export interface Thing {
  /** The subject without what is about a part of it; the same for all events about the thing. */
  key: string;
  kind: "service" | "probe" | "job" | "rule" | "member" | "other";
  space: string;
  name: string;
  /** The member that the event is about; "": none in particular. */
  node: string;
  /** What of the thing, such as a condition of a member; "": all of it. */
  part: string;
}

const KINDS = { services: "service", probes: "probe", jobs: "job", rules: "rule" } as const;
/** A probe is controlled as a whole: what stands in the place of a member. */
const CONTROL = "control";

/** Returns what a subject names. */
export function thingOf(subject: string): Thing {
  const ofMember = /^fleet\/(health|backups|members|leader)\/([^/]+)(?:\/(.+))?$/.exec(subject);
  if (ofMember !== null) {
    const [, , node = "", part = ""] = ofMember;
    return { key: memberKey(node), kind: "member", space: "fleet", name: node, node, part };
  }
  const found = /^([^/]+)\/(services|probes|jobs|rules)\/([^/]+)(?:\/(.+))?$/.exec(subject);
  if (found === null) {
    const at = subject.indexOf("/");
    return { key: subject, kind: "other", space: subject.slice(0, Math.max(0, at)), name: subject, node: "", part: "" };
  }
  const [, space = "", folder = "", name = "", rest = ""] = found;
  const kind = KINDS[folder as keyof typeof KINDS];
  return { key: `${space}/${folder}/${name}`, kind, space, name, node: rest === CONTROL ? "" : rest, part: "" };
}

/** Returns the key of a member. */
export function memberKey(node: string): string {
  return `fleet/health/${node}`;
}

/** Returns the page of a thing; of what has none, that of what happened to it. */
export function thingAddress({ key, kind, space, name }: Thing): string {
  switch (kind) {
    case "service":
      return serviceAddress({ space, name });
    case "probe":
      return probeAddress({ space, name });
    case "job":
      return jobAddress(`${space}/${name}`);
    case "member":
      return "/ui/fleet";
    default:
      return incidentsAddress({ thing: key });
  }
}
