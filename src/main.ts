// Entry point: the guard of a child process where that is asked for, else the command line. It imports nothing at once:
// a guard is there for each service, and needs a quarter of the memory that the whole program needs.

// No await here: bytecode is made of modules without one (scripts/bundle.ts).
if (process.argv[2] === "process-guard") void import("./features/process/index.ts").then(({ runGuard }) => runGuard());
else void import("./cli/run-main.ts").then(({ runMain }) => runMain());

export {};
