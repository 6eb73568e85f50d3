// Runs the command line of this process (program.ts) and ends the process with its exit code.

import { logFor } from "../observe/logging.ts";
import { reportFailure } from "./exit.ts";
import { runCommandLine } from "./program.ts";

/** Runs the command line of this process, and ends it. */
export function runMain(): void {
  // A full disk behind stderr, or a reader that is gone, ends nothing: what was to be told is lost, the work is done.
  process.stderr.on("error", () => {});
  for (const event of ["uncaughtException", "unhandledRejection"] as const) {
    process.on(event, (error: unknown) => {
      // One line for people; the stack only at log level debug.
      if (error instanceof Error) logFor("process")("debug", `${event}: ${error.stack ?? error.message}`);
      process.exit(reportFailure(error));
    });
  }
  void runCommandLine(process.argv.slice(2), process.env).then((code) => process.exit(code));
}
