// Runs a program of the gate and passes on what it prints. One that prints nothing for long is ended with all that it
// started: a test that never returns would otherwise hold the whole run up, and be named nowhere.

/** Longest time in which a program of the gate may print nothing, in ms. The slowest test file takes a fifth of it. */
export const QUIET_MS = 10 * 60_000;

/** How it is run. */
export interface WatchOptions {
  cwd: string;
  env: NodeJS.ProcessEnv;
  write: (text: string) => void;
  quietMs?: number;
}

/** Runs it and returns its exit code. Throws an Error when it printed nothing for `quietMs`, after it has ended it. */
export async function runWatched(
  cmd: string[],
  { cwd, env, write, quietMs = QUIET_MS }: WatchOptions,
): Promise<number> {
  const child = Bun.spawn({ cmd, cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  const quiet = Promise.withResolvers<never>();
  const end = async (): Promise<void> => {
    const pids = await withDescendants(child.pid);
    for (const pid of pids) kill(pid);
    quiet.reject(new Error(`printed nothing for ${quietMs / 1000} s and was ended: a test in it never returns`));
  };
  const begin = () => setTimeout(() => void end().catch(quiet.reject), quietMs);
  let timer = begin();
  const pass = async (stream: ReadableStream<Uint8Array>): Promise<void> => {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      clearTimeout(timer);
      timer = begin();
      write(decoder.decode(chunk, { stream: true }));
    }
  };
  try {
    const passed = Promise.all([child.stdout, child.stderr].map(pass));
    const [code] = await Promise.race([Promise.all([child.exited, passed]), quiet.promise]);
    return code;
  } finally {
    clearTimeout(timer);
  }
}

/** Returns a process and all that it started, those that start others first, so that none is replaced. */
async function withDescendants(root: number): Promise<number[]> {
  const { stdout } = Bun.spawn(["ps", "-A", "-o", "pid=,ppid="], { stdio: ["ignore", "pipe", "ignore"] });
  const text = await new Response(stdout).text();
  const all = text.split("\n").map((line) => line.trim().split(/\s+/).map(Number));
  const found = [root];
  for (const parent of found) for (const [pid = 0, ppid] of all) if (ppid === parent && pid > 0) found.push(pid);
  return found;
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}
