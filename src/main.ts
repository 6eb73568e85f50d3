// Entry point: runs the command line (cli/program.ts) and exits with its code.

import { reportFailure } from "./cli/exit.ts";
import { runCommandLine } from "./cli/program.ts";
import { logFor } from "./observe/logging.ts";

// A full disk behind stderr, or a reader that is gone, ends nothing: what was to be told is lost, the work is done.
process.stderr.on("error", () => {});

for (const event of ["uncaughtException", "unhandledRejection"] as const) {
  process.on(event, (error: unknown) => {
    // One line for people; the stack only at log level debug.
    if (error instanceof Error) logFor("process")("debug", `${event}: ${error.stack ?? error.message}`);
    process.exit(reportFailure(error));
  });
}

// No await here: bytecode is made of modules without one (scripts/bundle.ts).
void runCommandLine(process.argv.slice(2), process.env).then((code) => process.exit(code));
