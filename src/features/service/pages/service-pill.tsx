// The state of a service, or of a copy of it, as a pill.
/** @jsxImportSource hono/jsx */

import type { ShownService } from "../shown.ts";

const CLASSES: Readonly<Record<ShownService["state"], string>> = {
  ready: "ok",
  starting: "role",
  stopping: "warning",
  idle: "failing",
  disabled: "role",
};
const WORDS: Readonly<Record<ShownService["state"], string>> = {
  ready: "ready",
  starting: "starting",
  stopping: "stopping",
  idle: "not running",
  disabled: "disabled",
};

export function ServicePill({ state }: { state: ShownService["state"] }) {
  return <span class={`pill ${CLASSES[state]}`}>{WORDS[state]}</span>;
}
