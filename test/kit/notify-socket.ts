// A service manager's datagram socket for tests, through libc: Bun has no unix datagram sockets of its own. Linux only.

import { dlopen, FFIType, ptr } from "bun:ffi";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const MSG_DONTWAIT = 0x40;
const MAX_BYTES = 4096;

/** A bound socket that returns what was sent to it. */
export class NotifySocket implements Disposable {
  readonly path: string;
  readonly #libc;
  readonly #descriptor: number;

  constructor(path: string) {
    this.path = path;
    this.#libc = dlopen("libc.so.6", {
      socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
      bind: { args: [FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
      recv: { args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i64 },
      close: { args: [FFIType.i32], returns: FFIType.i32 },
    });
    this.#descriptor = this.#libc.symbols.socket(AF_UNIX, SOCK_DGRAM, 0);
    const address = Buffer.alloc(110);
    address.writeUInt16LE(AF_UNIX, 0);
    address.write(path, 2);
    if (this.#libc.symbols.bind(this.#descriptor, ptr(address), 2 + Buffer.byteLength(path) + 1) !== 0)
      throw new Error(`cannot bind ${path}`);
  }

  /** Returns the next datagram, or undefined when there is none now. */
  next(): string | undefined {
    const bytes = Buffer.alloc(MAX_BYTES);
    const length = Number(this.#libc.symbols.recv(this.#descriptor, ptr(bytes), MAX_BYTES, MSG_DONTWAIT));
    return length < 0 ? undefined : bytes.toString("utf8", 0, length);
  }

  [Symbol.dispose](): void {
    this.#libc.symbols.close(this.#descriptor);
    this.#libc.close();
  }
}
