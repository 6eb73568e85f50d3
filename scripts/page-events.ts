// docs/events.md: the events that Cairn publishes of what it does, from the manifests of the features.

import { SETTINGS } from "../src/config/settings.ts";
import { eventTypesOf } from "../src/operation/derive.ts";
import type { Feature } from "../src/operation/feature.ts";
import { namesType, ownEventData } from "../src/operation/own-events.ts";
import { code, table } from "./markdown.ts";
import { filesOf, generatedFrom } from "./page-sources.ts";

/** Returns the page. */
export function eventsPage(features: readonly Feature[]): string {
  const byDefault = SETTINGS["events.own"].default;
  const types = [...eventTypesOf(features)].sort(([one], [other]) => (one < other ? -1 : 1));
  const rows = types.map(([type, { when, subject, operations, outcomes = [] }]) => [
    code(type),
    byDefault.some((pattern) => namesType(pattern, type)) ? "yes" : "",
    when,
    subject,
    [...operations, ...outcomes].map(code).join(", "),
  ]);
  const fields = Object.entries(ownEventData.shape).map(([name, schema]) => [
    code(name),
    schema.isOptional() ? "" : "yes",
    schema.description ?? "",
  ]);
  return [
    "# Events of Cairn itself",
    "",
    generatedFrom(["src/operation/own-events.ts", ...filesOf(features, "events")]),
    "",
    "What Cairn does becomes events (CloudEvents 1.0), in the order and the transaction of the changes themselves. Lists,",
    "waits, streams and subscriptions have them as any event. `/openapi.json` has the types under `x-cairn-events`.",
    "",
    "- **Source** `node/cairn`, sender `node`. The **id** is the position of the change, so it is the same everywhere.",
    "- **Space**: that of the subject. Whoever may read the space may read the event. A change that not everyone there may",
    "  see when it is made, such as that of a private context or message, has none.",
    "- **Which**: the setting `events.own` of the fleet names types. `cairn fleet settings events.own '*'` publishes all.",
    "  Changes of contexts and messages are not published by default: they would make each such write dearer.",
    "- A subscription without rules takes them like all events of its space. So those of subscriptions are not published by",
    "  default: one would begin with the news that it was created.",
    "- A subscription into a context takes no `cairn.context.changed`: what it writes would be an event again.",
    "",
    table(["Type", "By default", "When", "Subject", "Writes and outcomes"], rows),
    "",
    "## Data",
    "",
    table(["Field", "Always", "Meaning"], fields),
    "",
  ].join("\n");
}
