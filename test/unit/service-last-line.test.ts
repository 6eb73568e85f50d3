// The line that becomes the reason of a failed start, as runtimes write it.

import { expect, test } from "bun:test";
import { lastLineOf } from "../../src/features/service/last-line.ts";

const NODE = `about to listen
node:events:486
      throw er; // Unhandled 'error' event
      ^

Error: listen EADDRINUSE: address already in use 127.0.0.1:8080
    at Server.setupListenHandle [as _listen2] (node:net:1908:16)
    at node:internal/main/run_main_module:36:49 {
  code: 'EADDRINUSE',
  port: 8080
}

Node.js v24.21.0
`;
const BUN = `1 | boom(
error: Cannot find package "x" from "/srv/server.js"

Bun v1.4.4 (Linux x64)`;
const GO = `panic: no config

goroutine 1 [running]:
main.main()
\t/srv/main.go:9 +0x1d
`;
const RUST = `thread 'main' panicked at src/main.rs:2:5:
no config
note: run with \`RUST_BACKTRACE=1\` environment variable to display a backtrace`;
const PYTHON = `Traceback (most recent call last):
  File "/srv/api.py", line 1, in <module>
ValueError: no config
`;

test.each([
  [NODE, "Error: listen EADDRINUSE: address already in use 127.0.0.1:8080"],
  [BUN, 'error: Cannot find package "x" from "/srv/server.js"'],
  [GO, "panic: no config"],
  [RUST, "no config"],
  [PYTHON, "ValueError: no config"],
  ["SyntaxError: x\n    at wrapSafe (a:1:2)\n\nNode.js v20.20.2", "SyntaxError: x"],
  ["one\n  two  \n\n", "two"],
  ["Node.js v24.21.0", "Node.js v24.21.0"],
  ["done\nlast words\ngoroutine dump follows", "goroutine dump follows"],
  ["", ""],
])("%j", (output, line) => {
  expect(lastLineOf(output)).toBe(line);
});
