// A process beside `cairn lease run` that ends the command if `cairn` itself is killed. It waits at the end of a pipe
// that the kernel closes with `cairn`, however that ends; a signal for the death of a parent is Linux's alone, and ends
// no group.

/** Waits for the end of the pipe, then ends the group $1 within $2 seconds. */
const SCRIPT = 'read -r _; kill -s TERM -- "-$1" && sleep "$2" && kill -s KILL -- "-$1"';

/** Starts the guard of a process group. Returns the function that ends the guard, when the command has ended. */
export function guardOrphans(group: number, graceMs: number): () => void {
  const guard = Bun.spawn({
    cmd: ["/bin/sh", "-c", SCRIPT, "cairn-lease-guard", String(group), String(Math.floor(graceMs / 1000))],
    // A group of its own: what ends `cairn` by its group does not end the guard.
    detached: true,
    env: { PATH: "/usr/bin:/bin" },
    stdio: ["pipe", "ignore", "ignore"],
  });
  guard.unref();
  return () => guard.kill("SIGKILL");
}
