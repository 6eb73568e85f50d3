// Arguments in, exit code out. The command line is cli/program.ts; a node's life is node/start.ts.

import { reportFailure } from "./cli/exit.ts";
import { runCommandLine } from "./cli/program.ts";
import { logFor } from "./observe/logging.ts";

for (const event of ["uncaughtException", "unhandledRejection"] as const) {
  process.on(event, (error: unknown) => {
    // One line for people; the stack only for those who asked for debug lines.
    if (error instanceof Error) logFor("process")("debug", `${event}: ${error.stack ?? error.message}`);
    process.exit(reportFailure(error));
  });
}

process.exit(await runCommandLine(process.argv.slice(2), process.env));
