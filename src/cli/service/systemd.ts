// The systemd unit of a node: Type=notify with a watchdog, sandboxed as far as a JIT engine and a userspace WireGuard allow. Text only; installing is service.ts.

/** What differs from unit to unit. */
export interface UnitFacts {
  /** Words that run `cairn`, absolute. */
  command: readonly string[];
  /** A unit of one person's own manager (`systemctl --user`), or of the system. */
  user: boolean;
  /** Account of a system unit. */
  account: string;
  /** Data folder other than the usual one of such a unit. */
  dataDir: string | undefined;
  /** Settings file other than cairn.toml in the data folder. */
  configFile: string | undefined;
  /** Folder of the scheduled backups where it is another than in the data folder. */
  backupFolder: string | undefined;
}

/** Name of the unit. */
export const UNIT = "cairn.service";
/** Where keys stand for the first start, one NAME=value on a line; 0600, and never made by us. */
export const SYSTEM_ENVIRONMENT = "/etc/cairn/cairn.env";
const USER_ENVIRONMENT = "%h/.config/cairn/cairn.env";

/** Failures that another start cannot mend: key refused, configuration, policy, newer data, open folder, damage. */
const NO_RESTART = "11 20 21 31 42 43 44";

/** The unit's text; the same facts make the same text. */
export function systemdUnit(facts: UnitFacts): string {
  const { user } = facts;
  const flags = [
    ...(facts.dataDir === undefined ? [] : ["--data", facts.dataDir]),
    ...(facts.configFile === undefined ? [] : ["--config", facts.configFile]),
  ];
  return [
    "# Written by `cairn service install`; it writes it anew when it differs. Put changes into a drop-in: systemctl edit cairn.",
    "[Unit]",
    "Description=Cairn, the shared memory of AI agents on a tailnet",
    "After=network-online.target",
    "Wants=network-online.target",
    "StartLimitIntervalSec=300",
    "StartLimitBurst=10",
    "",
    "[Service]",
    "Type=notify",
    "# The tailnet half may run as a child, and it is what speaks to systemd.",
    "NotifyAccess=all",
    `ExecStart=${[...facts.command, "serve", ...flags].map(systemdWord).join(" ")}`,
    "ExecReload=/bin/kill -HUP $MAINPID",
    "WatchdogSec=30",
    "TimeoutStartSec=90",
    "TimeoutStopSec=30",
    "Restart=always",
    "RestartSec=2",
    `RestartPreventExitStatus=${NO_RESTART}`,
    "# For the first start: TS_AUTHKEY=… or TS_AUTHKEY_FILE=… in a file that only root or you may read. The node keeps its own state afterwards.",
    `EnvironmentFile=-${user ? USER_ENVIRONMENT : SYSTEM_ENVIRONMENT}`,
    ...(user ? userPlaces() : systemPlaces(facts)),
    "UMask=0077",
    "LimitNOFILE=65536",
    "OOMScoreAdjust=-100",
    "",
    "# Sandbox. MemoryDenyWriteExecute is not among it: the engine compiles at run time.",
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

/** What only the system's manager can do. */
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

/** %t and %S are /run and /var/lib; the socket lies where the command line of other users looks for it. */
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
    // One that is missing is no reason not to start: the node says that its backups fail.
    ...(facts.backupFolder === undefined ? [] : [`ReadWritePaths=${systemdWord(`-${facts.backupFolder}`)}`]),
  ];
}

function userPlaces(): string[] {
  return ["Environment=XDG_RUNTIME_DIR=%t"];
}

/** One word of ExecStart: quoted, with systemd's own signs doubled. */
export function systemdWord(word: string): string {
  const plain = word.replaceAll("%", "%%").replaceAll("$", "$$$$");
  if (/^[\w@%+=:,./$-]+$/.test(plain)) return plain;
  return `"${plain.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;
}
