// Loads the Go library through bun:ffi and calls its three exports (native/PROTOCOL.md, "C ABI"). None of them
// blocks. A Go library cannot be unloaded, so it is loaded once per process and never closed.

import { dlopen, FFIType, ptr } from "bun:ffi";
import { Fault } from "../lib/fault.ts";
import { reasonOf } from "../lib/reason-of.ts";
import { PROTOCOL_VERSION } from "./protocol.ts";

const ABI_VERSION = 1;

const EXPORTS = {
  cairn_abi_version: { args: [], returns: FFIType.i32 },
  cairn_open: { args: [FFIType.ptr, FFIType.i64, FFIType.ptr], returns: FFIType.i64 },
  cairn_close: { args: [FFIType.i64], returns: FFIType.void },
} as const;

/** The folder cannot hold executable code (mounted noexec); another folder may work. */
export class NotExecutable extends Error {}

export interface NativeLibrary {
  /** Opens one node's channel. Returns a handle for `close` and a connected stream descriptor that the caller owns. */
  open(): { handle: bigint; fd: number };
  /** Begins to close that node and returns at once. */
  close(handle: bigint): void;
}

const OPEN_ERRORS: Record<string, string> = {
  "-1": "it could not read its options",
  "-2": `it does not speak protocol ${PROTOCOL_VERSION}`,
  "-3": "the system refused a socket pair; are file descriptors used up? (ulimit -n)",
  "-4": "it panicked while opening",
};

let loaded: NativeLibrary | undefined;

/**
 * Loads the library at this path; returns the one that this process has loaded already, if any. Throws NotExecutable,
 * or Fault `library_failed`.
 */
export function loadLibrary(path: string): NativeLibrary {
  loaded ??= load(path);
  return loaded;
}

function load(path: string): NativeLibrary {
  let library: ReturnType<typeof dlopen<typeof EXPORTS>>;
  try {
    library = dlopen(path, EXPORTS);
  } catch (error) {
    const message = reasonOf(error);
    if (/failed to map segment|operation not permitted|permission denied/i.test(message))
      throw new NotExecutable(message);
    throw new Fault("library_failed", `cannot load ${path}: ${message}`, {
      hint:
        "The library needs glibc 2.34 or newer (Debian 12, Ubuntu 22.04, Raspberry Pi OS 12); on other systems use " +
        "the sidecar engine.",
      cause: error,
    });
  }
  const call = library.symbols;
  const abi = call.cairn_abi_version();
  if (abi !== ABI_VERSION) {
    throw new Fault("library_failed", `${path} has ABI ${abi}, this executable needs ${ABI_VERSION}`, {
      hint: "Replace the executable by a fresh copy.",
    });
  }
  return {
    open() {
      const options = Buffer.from(JSON.stringify({ protocol: PROTOCOL_VERSION }));
      const fd = new Int32Array([-1]);
      const handle = BigInt(call.cairn_open(ptr(options), options.length, ptr(fd)));
      if (handle > 0n) return { handle, fd: fd[0] ?? -1 };
      const why = OPEN_ERRORS[String(handle)] ?? `error ${handle}`;
      throw new Fault("library_failed", `the tailnet library did not open: ${why}`, {
        hint: "Start again; see the log.",
      });
    },
    close(handle) {
      call.cairn_close(handle);
    },
  };
}
