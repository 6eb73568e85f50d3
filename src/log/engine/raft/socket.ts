// One connection to raft.sock: frames in and out, in order. Bytes that the kernel does not take yet are queued here.

import { FrameReader, type RaftFrame } from "./frames.ts";

/**
 * A Go half that fails sends its reason and closes. This is how long its frames are awaited once it takes no more
 * bytes.
 */
const LAST_FRAMES_MS = 200;

/** The connection to the Go half's raft. */
export interface RaftSocket {
  send(frame: Uint8Array): void;
  close(): void;
}

export interface RaftSocketOptions {
  path: string;
  onFrame: (frame: RaftFrame) => void;
  /** Called once when the connection ended or broke; not after `close`. */
  onEnd: (reason: unknown) => void;
}

/** Connects. Rejects when nothing listens at that path. */
export async function connectRaftSocket({ path, onFrame, onEnd }: RaftSocketOptions): Promise<RaftSocket> {
  const reader = new FrameReader();
  const waiting: Uint8Array[] = [];
  let ended = false;
  const end = (reason: unknown) => {
    if (ended) return;
    ended = true;
    onEnd(reason);
  };
  const flush = (socket: { write(bytes: Uint8Array): number }) => {
    for (let next = waiting[0]; next !== undefined && !ended; next = waiting[0]) {
      const written = socket.write(next);
      if (written < 0) {
        setTimeout(end, LAST_FRAMES_MS, new Error("raft.sock takes no more bytes"));
        return;
      }
      if (written < next.byteLength) {
        waiting[0] = next.subarray(written);
        return;
      }
      waiting.shift();
    }
  };
  const socket = await Bun.connect({
    unix: path,
    socket: {
      binaryType: "uint8array",
      data(from, bytes) {
        if (ended) return;
        try {
          // Bun reuses its buffer after this call.
          for (const frame of reader.push(bytes.slice())) if (!ended) onFrame(frame);
        } catch (error) {
          end(error);
          from.end();
        }
      },
      drain: flush,
      close: (_socket, error) => end(error ?? new Error("raft.sock ended")),
      error: (_socket, error) => end(error),
    },
  });
  return {
    send: (frame) => {
      if (ended) return;
      waiting.push(frame);
      if (waiting.length === 1) flush(socket);
    },
    close: () => {
      ended = true;
      socket.end();
    },
  };
}
