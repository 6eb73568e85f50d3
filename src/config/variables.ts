// The variables that begin with CAIRN_ and are neither settings nor secrets.

/** Each with what it does, for docs/settings.md. */
export const OTHER_VARIABLES: Readonly<Record<string, string>> = {
  CAIRN_CONFIG: "Settings file, like `--config`.",
  CAIRN_URL: "Node that commands ask, such as `http://cairn`, where neither `--url` nor `--data` is given.",
  CAIRN_FENCE:
    "Set by `cairn lease run` for its command: the fence of the lease. `cairn guard` takes that lease for your own.",
  CAIRN_FENCES: "The same of all leases around a command, one a line.",
  CAIRN_LEASE: "Set by `cairn lease run` for its command: the name of the lease.",
  CAIRN_PROCESS: "Set by Cairn for its child processes: a random value, by which what they start is found and ended.",
  CAIRN_SECRET_NAME:
    "Value of `secret:NAME` in a declaration, such as a target of events; or `CAIRN_SECRET_NAME_FILE` with the path of a file, or a systemd credential `CAIRN_SECRET_NAME`. NAME is upper case.",
  CAIRN_ROOT: "Root of the repository, for its scripts. The executable does not read it.",
};
