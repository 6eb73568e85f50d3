// The library engine: the Go half inside this process. Its channel is one end of a socket pair; requests and pages do
// not cross it.

import { Fault } from "../lib/fault.ts";
import { MAX_QUEUED_BYTES } from "./channel.ts";
import type { Artifact } from "./embedded.ts";
import { loadLibrary } from "./ffi.ts";
import { GoHalf } from "./go-half.ts";
import { withExtracted } from "./loader.ts";
import type { TailnetLog } from "./tailnet.ts";

/** Loads the library from the first of these folders that can run it, and opens one node's channel. */
export async function openLibrary(artifact: Artifact, folders: readonly string[], log: TailnetLog): Promise<GoHalf> {
  const library = await withExtracted(artifact, folders, loadLibrary, log);
  return GoHalf.open(
    "library",
    async ({ receive, lost }) => {
      const { handle, fd } = library.open();
      let queue: Uint8Array[] = [];
      let queued = 0;
      const flush = (socket: Bun.Socket<undefined>): void => {
        while (queue.length > 0) {
          const bytes = queue.length === 1 ? queue[0] : Buffer.concat(queue);
          if (bytes === undefined) return;
          const sent = Math.max(0, socket.write(bytes));
          queued -= sent;
          queue = sent < bytes.length ? [bytes.subarray(sent)] : [];
          if (sent < bytes.length) return;
        }
      };
      try {
        const options: Bun.FdSocketOptions = {
          fd,
          socket: {
            data: (_, chunk) => receive(chunk),
            drain: flush,
            end: () => lost("the tailnet library closed its channel"),
            close: () => lost("the tailnet library closed its channel"),
            error: (_, error) => lost(`the channel to the tailnet library failed: ${error.message}`),
          },
        };
        // Bun documents connecting to a descriptor, but its types have no overload for it.
        const socket = await Bun.connect(options as Bun.FdSocketOptions & Bun.UnixSocketOptions<undefined>);
        return {
          wire: {
            write(bytes) {
              queued += bytes.length;
              if (queued > MAX_QUEUED_BYTES) return lost(`the tailnet library left ${queued} bytes unread`);
              queue.push(bytes);
              flush(socket);
            },
            end: () => void socket.end(),
          },
          destroy: async () => library.close(handle),
        };
      } catch (error) {
        library.close(handle);
        throw new Fault("library_failed", `cannot open the channel to the tailnet library: ${String(error)}`, {
          cause: error,
        });
      }
    },
    log,
  );
}
