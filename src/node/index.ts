// What other rooms may use of the node.

export { checkSettings } from "./check-settings.ts";
export { jsonEvent, type NodeEvent, terminalEvent } from "./report/events.ts";
export { type RunningNode, startNode } from "./start.ts";
export type { StartOptions } from "./start-options.ts";
