// The sidecar engine: the Go half as a child process, its channel on stdin and stdout. For musl systems, and for macOS
// files that are built on Linux. The child ends with this process: its stdin closes however this process ends.

import { childEnvironment } from "../lib/child-environment.ts";
import { Fault } from "../lib/fault.ts";
import { pause } from "../lib/pause.ts";
import { MAX_QUEUED_BYTES } from "./channel.ts";
import type { Artifact } from "./embedded.ts";
import { NotExecutable } from "./ffi.ts";
import { GoHalf } from "./go-half.ts";
import { LineSplitter } from "./lines.ts";
import { withExtracted } from "./loader.ts";
import type { TailnetLog } from "./tailnet.ts";

/**
 * Environment variables that the child may see: home, temporary files, CA certificates, proxies. Never TS_*, BUN_*,
 * LD_*, NODE_OPTIONS.
 */
const ENVIRONMENT = [
  "HOME",
  "TMPDIR",
  "TZ",
  "LANG",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  ...["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"].flatMap((name) => [name, name.toLowerCase()]),
];

/** How long the child may take to end by itself, in ms. */
const END_MS = 2_000;
const MAX_STDERR_LINE_BYTES = 16 * 1024;

/** Spawns the sidecar from the first of these folders that can run it. */
export async function openSidecar(artifact: Artifact, folders: readonly string[], log: TailnetLog): Promise<GoHalf> {
  const child = await withExtracted(artifact, folders, spawn, log);
  const kill = (): void => child.kill("SIGKILL");
  process.on("exit", kill);
  return GoHalf.open(
    "sidecar",
    async ({ receive, lost }) => {
      let queued = 0;
      const reading = read(child.stdout, receive);
      void logLines(child.stderr, log);
      void child.exited.then(async (code) => {
        process.off("exit", kill);
        // Its last output comes before the report of its end; a grandchild that holds the pipe cannot delay that.
        await Promise.race([reading, pause(200)]);
        lost(`the tailnet sidecar (pid ${child.pid}) ended with ${child.signalCode ?? `code ${code}`}`);
      });
      return {
        wire: {
          write(bytes) {
            queued += bytes.length;
            if (queued > MAX_QUEUED_BYTES) return lost(`the tailnet sidecar left ${queued} bytes unread`);
            try {
              child.stdin.write(bytes);
              // A broken pipe shows as the end of the child, which `exited` reports with its code.
              const flushed = Promise.resolve(child.stdin.flush()).catch(() => {});
              void flushed.then(() => {
                queued -= bytes.length;
              });
            } catch (error) {
              // So does one that the write itself reports. A child that lives on without reading is ended.
              log("warning", `cannot write to the tailnet sidecar: ${String(error)}`);
              setTimeout(kill, END_MS).unref();
            }
          },
          end: () => void Promise.resolve(child.stdin.end()).catch(() => {}),
        },
        async destroy() {
          const timer = setTimeout(kill, END_MS);
          await child.exited;
          clearTimeout(timer);
        },
      };
    },
    log,
  );
}

function spawn(path: string) {
  try {
    const env = childEnvironment(process.env, ENVIRONMENT);
    return Bun.spawn({ cmd: [path], env, cwd: "/", stdin: "pipe", stdout: "pipe", stderr: "pipe" });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "EACCES" || code === "EPERM") throw new NotExecutable(String(error));
    throw new Fault("library_failed", `cannot start the tailnet sidecar ${path}: ${String(error)}`, { cause: error });
  }
}

async function read(stream: ReadableStream<Uint8Array>, onChunk: (chunk: Uint8Array) => void): Promise<void> {
  for await (const chunk of stream) onChunk(chunk);
}

/** Logs the child's stderr, where Go reports why it dies. */
async function logLines(stream: ReadableStream<Uint8Array>, log: TailnetLog): Promise<void> {
  let lines = new LineSplitter(MAX_STDERR_LINE_BYTES);
  for await (const chunk of stream) {
    try {
      for (const line of lines.push(chunk)) log("warning", `sidecar: ${new TextDecoder().decode(line)}`);
    } catch {
      lines = new LineSplitter(MAX_STDERR_LINE_BYTES);
      log("warning", `sidecar: a line longer than ${MAX_STDERR_LINE_BYTES} bytes was dropped`);
    }
  }
}
