// The text of a node's launchd job on macOS. It is installed in service.ts.

/** What differs between jobs. */
export interface JobFacts {
  /** The words that run `cairn`, by absolute path. */
  command: readonly string[];
  /** Whether it is a job of one user, not of the system. */
  user: boolean;
  dataDir: string | undefined;
  configFile: string | undefined;
  /** File for the output: launchd has no journal. */
  logFile: string;
}

/** Name of the job. */
export const LABEL = "internal.cairn.node";

/** Returns the property list as XML. */
export function launchdJob(facts: JobFacts): string {
  const words = [
    ...facts.command,
    "serve",
    ...(facts.dataDir === undefined ? [] : ["--data", facts.dataDir]),
    ...(facts.configFile === undefined ? [] : ["--config", facts.configFile]),
  ];
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>${LABEL}</string>
  <key>ProgramArguments</key>
  <array>
${words.map((word) => `    <string>${xml(word)}</string>`).join("\n")}
  </array>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <true/>
  <key>ThrottleInterval</key>
  <integer>5</integer>
  <key>ExitTimeOut</key>
  <integer>30</integer>
  <key>Umask</key>
  <integer>63</integer>
  <key>ProcessType</key>
  <string>Background</string>
  <key>SoftResourceLimits</key>
  <dict>
    <key>NumberOfFiles</key>
    <integer>65536</integer>
  </dict>
  <key>StandardOutPath</key>
  <string>${xml(facts.logFile)}</string>
  <key>StandardErrorPath</key>
  <string>${xml(facts.logFile)}</string>
</dict>
</plist>
`;
}

function xml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
