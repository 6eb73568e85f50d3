// A store in which every field that a caller may fill has markup, scripts, bidi marks and long words in it, and the
// addresses of all pages that show it.

import { eventually } from "./eventually.ts";

/** What no page may run, show as markup, or leave invisible. */
export const MARKUP = `</pre></bdi></script><script>alert(1)</script><img src=x onerror=alert(1)>"'&amp;`;
/** Marks that are invisible or reorder a line. */
export const MARKS = "a\u202eb\u200bc\u00add\u2066e";
/** A word that has no place to break. */
export const LONG = "w".repeat(120);
/** What is looked for: none of it may be in the text of a page. */
export const ODD =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u202a-\u202e\u2066-\u2069\u{e0000}-\u{e007f}]/u;

const HOSTILE = `${MARKUP} ${MARKS} ${LONG}`;
const NAME = `x<img/src=x/onerror=alert(1)>"'${LONG}`;

/** Calls an operation as the one who writes all of it, and returns its output. */
export type CallOperation = (operation: string, input: Record<string, unknown>) => Promise<Record<string, unknown>>;

/** Fills a store, and returns the address of every page of it. */
export async function hostileScene(call: CallOperation): Promise<string[]> {
  const space = "team-a";
  const { handle } = await call("agent_register", { name: "builder", type: "lead", takeover: true });
  const tags = [MARKUP.slice(0, 60), MARKS];
  const metadata = { [MARKUP]: HOSTILE, [MARKS]: [LONG] };
  const id = `${space}/papers/${NAME}`;
  const labels = { title: `${MARKUP} ${MARKS}`.slice(0, 200), tags, metadata };
  await call("context_put", { id, content: HOSTILE, ...labels, as: handle });
  await call("context_put", {
    id,
    content: `${HOSTILE}\nmore`,
    content_type: "text/html",
    supersedes: [`${space}/${NAME}`],
  });
  await call("context_put", { id: `${space}/json`, content: { [MARKUP]: HOSTILE } });
  await call("context_put", { id: `${space}/json`, content: { [MARKS]: HOSTILE, n: 1 } });
  const { session } = await call("session_create", { purpose: `${MARKUP} ${MARKS} ${LONG}`, space, metadata });
  const post = (more: object) => call("message_post", { session, text: HOSTILE, ...more });
  const { message } = await post({
    to: [`"'<b>@x.example`],
    mentions: ["<i>@x.example"],
    metadata,
    ack: true,
  });
  await post({ as: handle, parent: message, kind: "question" });
  await call("message_edit", { session, message, text: `${HOSTILE}\nedited` });
  await call("message_ack", { session, messages: [message], as: handle });
  await post({ to: ["builder"], visibility: "private" });
  await call("agent_status", { doing: MARKUP + MARKS + LONG.slice(0, 80), as: handle });
  const lease = `${space}/${NAME}`;
  await call("lease_acquire", { name: lease, for: `${MARKUP} ${LONG.slice(0, 60)}` });
  await call("lease_acquire", { name: lease, for: MARKUP, wait_seconds: 300, as: handle });
  const key = `k<img/src=x/onerror=alert(1)>"'${LONG.slice(0, 90)}`;
  const memory = { value: HOSTILE, key, space, about: `<b>${MARKUP}`, title: MARKUP, tags: [MARKUP.slice(0, 60)] };
  await call("memory_store", { ...memory, scope: "shared", kind: "fact", metadata });
  const event = { space, type: `${MARKUP} ${LONG}`, subject: `${MARKUP} ${LONG}`, data: { [MARKUP]: HOSTILE } };
  await call("event_publish", event);
  await call("event_target_set", { name: "ops", target: { kind: "http", url: "https://x.example/" }, spaces: ["*"] });
  const subscription = { id: `${space}/${LONG.slice(0, 60)}`, target: "ops", rules: [{ id: "r" }] };
  await call("subscription_create", subscription);
  await call("subscription_pause", { id: subscription.id });
  const path = (text: string) => text.split("/").map(encodeURIComponent).join("/");
  const asked = encodeURIComponent(HOSTILE.slice(0, 150));
  return [
    ...["/", "/ui/contexts", `/ui/contexts?tag=${encodeURIComponent(tags[0] ?? "")}`],
    ...[`/ui/contexts/${path(id)}`, `/ui/contexts/${path(id)}?from=1`, `/ui/contexts/${space}/json?from=1`],
    ...["/ui/sessions", `/ui/sessions/${session}`, `/ui/sessions/${session}?reply=${message}`, "/ui/inbox"],
    ...[`/ui/messages/${session}/${message}?from=1`, `/ui/messages/${session}/${message}?version=1`],
    ...[
      `/ui/memory?space=${space}`,
      `/ui/memory?space=${space}&order=time`,
      `/ui/memory?space=${space}&q=${asked.slice(0, 60)}`,
    ],
    ...[
      "/ui/leases",
      `/ui/leases?prefix=${space}/`,
      "/ui/agents",
      "/ui/audit",
      `/ui/audit?prefix=${space}/&operation=context_put`,
    ],
    ...["/ui/events", `/ui/events?type=${asked}`],
    ...["/ui/connect", `/ui/contexts?prefix=${asked}`, `/ui/audit?caller=${asked}`, `/ui/${asked}`],
  ];
}

/** The same for what a fleet runs: of a node that leads and reads declarations. */
export async function hostileFleet(call: CallOperation): Promise<string[]> {
  const space = "team-a";
  await call("context_put", {
    id: "fleet/actions/tidy",
    content: { space, parameters: { note: { type: "string" } } },
  });
  await call("context_put", {
    id: "fleet/probes/web",
    content: { type: "http", target: `http://x.example/${LONG}`, description: HOSTILE, interval: 5 },
  });
  await call("context_put", {
    id: "fleet/services/wiki",
    content: { argv: ["wiki"], primary: "none", description: HOSTILE.slice(0, 300), space, port: 1234 },
  });
  await call("context_put", {
    id: "fleet/rules/more",
    content: { probe: "web", above: 10, start: { action: "tidy", input: { note: HOSTILE } }, description: HOSTILE },
  });
  await eventually("all are in force", async () => {
    const { declarations } = (await call("declaration_list", {})) as { declarations: unknown[] };
    return declarations.length === 4;
  });
  const { id } = await call("job_start", { action: "tidy", space, input: { note: HOSTILE }, concurrency_key: MARKUP });
  const { job } = (await call("job_claim", { space, actions: ["tidy"] })) as { job: { fence: string } };
  const said = { progress: HOSTILE.slice(0, 200), checkpoint: HOSTILE };
  await call("job_heartbeat", { id, fence: job.fence, ...said });
  await call("job_finish", { id, fence: job.fence, outcome: "succeeded", result: HOSTILE });
  return [
    "/ui/jobs",
    `/ui/jobs/${id}`,
    "/ui/rules",
    "/ui/rules/more",
    "/ui/probes",
    "/ui/probes/fleet/web",
    "/ui/services",
    `/ui/services/${space}/wiki`,
  ];
}
