// The syntax of a label of a machine, by which work finds a member that fits it: in settings, in beats, in calls.

/** 1 to 32 of a-z, 0-9 and . _ -, with a letter or digit at both ends. */
export const LABEL = /^[a-z0-9](?:[a-z0-9._-]{0,30}[a-z0-9])?$/;

/** Most labels that a node may be given. */
export const MAX_OWN_LABELS = 16;

/** Labels that are found and never given: a node must not call itself what it is not. */
export const FOUND_LABELS: ReadonlySet<string> = new Set(["linux", "darwin", "win32", "x64", "arm64"]);

/** The label of a machine with a GPU; found, or given where it cannot be found. */
export const GPU = "gpu";

/** The label of a machine that does not sleep. Nothing shows that, so it is only given. */
export const ALWAYS_ON = "always-on";
