// The text of a node's systemd unit: Type=notify with a watchdog, sandboxed as far as a JIT engine and userspace
// WireGuard allow. It is installed in service.ts.

import { ENGINE_VARIABLES } from "../../config/engine-variables.ts";

/** What differs between units. */
export interface UnitFacts {
  /** The words that run `cairn`, by absolute path. */
  command: readonly string[];
  /** Whether it is a unit of one user (`systemctl --user`), not of the system. */
  user: boolean;
  /** Account of a system unit. */
  account: string;
  /** Data folder, if not the default of such a unit. */
  dataDir: string | undefined;
  /** Settings file, if not cairn.toml in the data folder. */
  configFile: string | undefined;
  /** Folder of the scheduled backups, if not in the data folder. */
  backupFolder: string | undefined;
}

/** Name of the unit. */
export const UNIT = "cairn.service";
/** File with keys for the first start, one NAME=value per line, mode 0600. The user creates it. */
export const SYSTEM_ENVIRONMENT = "/etc/cairn/cairn.env";
const USER_ENVIRONMENT = "%h/.config/cairn/cairn.env";

/**
 * Exit codes after which a restart is pointless: key refused, configuration, policy, native library, newer data, unsafe
 * or damaged data.
 */
const NO_RESTART = "11 20 21 31 42 43 44";

/** Returns the text of the unit. Deterministic. */
export function systemdUnit(facts: UnitFacts): string {
  const { user } = facts;
  const flags = [
    ...(facts.dataDir === undefined ? [] : ["--data", facts.dataDir]),
    ...(facts.configFile === undefined ? [] : ["--config", facts.configFile]),
  ];
  return [
    "# Written by `cairn service install`, which overwrites changes. Put them into a drop-in: systemctl edit cairn.",
    "[Unit]",
    "Description=Cairn, the shared memory of AI agents on a tailnet",
    "# time-sync.target: where a service waits for the time, a machine without a clock battery starts Cairn after it.",
    "After=network-online.target time-sync.target",
    "Wants=network-online.target time-sync.target",
    "StartLimitIntervalSec=300",
    "StartLimitBurst=10",
    "",
    "[Service]",
    "Type=notify",
    "# The tailnet half may run as a child process, and it is what notifies systemd.",
    "NotifyAccess=all",
    `ExecStart=${[...facts.command, "serve", ...flags].map(systemdWord).join(" ")}`,
    "ExecReload=/bin/kill -HUP $MAINPID",
    "WatchdogSec=30",
    "TimeoutStartSec=90",
    "TimeoutStopSec=30",
    "# The node asks the programs of its services and jobs to end, and waits for them; systemd must not be faster.",
    "KillMode=mixed",
    "Restart=always",
    "RestartSec=2",
    `RestartPreventExitStatus=${NO_RESTART}`,
    "# For the first start: TS_AUTHKEY=… or TS_AUTHKEY_FILE=… in a file that only root or you can read.",
    `EnvironmentFile=-${user ? USER_ENVIRONMENT : SYSTEM_ENVIRONMENT}`,
    `UnsetEnvironment=${ENGINE_VARIABLES.join(" ")}`,
    ...(user ? userPlaces() : systemPlaces(facts)),
    "UMask=0077",
    "LimitNOFILE=65536",
    "OOMScoreAdjust=-100",
    "",
    "# Sandbox. Without MemoryDenyWriteExecute: the engine compiles at run time.",
    "NoNewPrivileges=yes",
    "LockPersonality=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "RestrictNamespaces=yes",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallErrorNumber=EPERM",
    ...(user ? [] : SYSTEM_SANDBOX),
    "",
    "[Install]",
    `WantedBy=${user ? "default.target" : "multi-user.target"}`,
    "",
  ]
    .filter((line) => !(user && line === "OOMScoreAdjust=-100"))
    .join("\n");
}

/** Settings that only the system manager can apply. */
const SYSTEM_SANDBOX: readonly string[] = [
  "CapabilityBoundingSet=",
  "AmbientCapabilities=",
  "ProtectSystem=strict",
  "ProtectHome=yes",
  "PrivateTmp=yes",
  "PrivateDevices=yes",
  "ProtectHostname=yes",
  "ProtectClock=yes",
  "ProtectKernelTunables=yes",
  "ProtectKernelModules=yes",
  "ProtectKernelLogs=yes",
  "ProtectControlGroups=yes",
  "ProtectProc=invisible",
  "RemoveIPC=yes",
  "KeyringMode=private",
];

/** %t is /run. The socket is where the command line of other users looks for it. */
function systemPlaces(facts: UnitFacts): string[] {
  return [
    `User=${facts.account}`,
    `Group=${facts.account}`,
    "StateDirectory=cairn",
    "StateDirectoryMode=0700",
    "RuntimeDirectory=cairn",
    "RuntimeDirectoryMode=0711",
    "Environment=XDG_RUNTIME_DIR=%t/cairn",
    ...(facts.dataDir === undefined ? [] : [`ReadWritePaths=${systemdWord(facts.dataDir)}`]),
    // With "-" a missing folder does not keep the node from starting: it reports that its backups fail.
    ...(facts.backupFolder === undefined
      ? []
      : [`ReadWritePaths=${systemdWord(`-${writableFor(facts.backupFolder)}`)}`]),
  ];
}

/** First folders of paths that belong to the system: of these no more than the folder itself is opened. */
const SYSTEM_FOLDERS = new Set([
  "bin",
  "boot",
  "dev",
  "etc",
  "lib",
  "lib64",
  "opt",
  "proc",
  "run",
  "sbin",
  "sys",
  "usr",
]);

/**
 * Returns what has to be writable for a folder of backups. The folder itself would be held as it was when the node
 * started: a disk that is taken off and mounted again below it would not be seen. So it is the first folder of the
 * path, such as /mnt; within it the rights of files decide.
 */
function writableFor(folder: string): string {
  const [, first = "", second] = folder.split("/");
  if (first === "run" && second === "media") return "/run/media";
  return first === "var" || SYSTEM_FOLDERS.has(first) ? folder : `/${first}`;
}

function userPlaces(): string[] {
  return ["Environment=XDG_RUNTIME_DIR=%t"];
}

/** Returns one word of ExecStart: quoted if needed, with systemd's special characters doubled. */
export function systemdWord(word: string): string {
  const plain = word.replaceAll("%", "%%").replaceAll("$", "$$$$");
  if (/^[\w@%+=:,./$-]+$/.test(plain)) return plain;
  return `"${plain.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;
}
