// The engine without consensus, as other folders see it.

export { DirectLog } from "./direct-log.ts";
