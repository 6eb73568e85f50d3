// The highest fleet level of this build, for commands that load nothing else of the node.

export { KNOWN_LEVEL } from "../log/level.ts";
