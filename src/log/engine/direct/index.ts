// The engine without consensus. Other folders import this file only.

export { DirectLog } from "./direct-log.ts";
