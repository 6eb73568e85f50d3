// The signal regression: a Go library changes the signal handlers by which the JavaScript engine stops its threads.
// Older Bun hung for ever as soon as WebAssembly or the profiler ran; this holds that the pinned one does not. `npm run
// soak` is the long form.

import { expect, test } from "bun:test";
import { soak } from "../kit/soak.ts";

const SECONDS = 12;

test(
  "calls into Go, WebAssembly, garbage collection, children, the profiler and tailnet traffic at once: no hang, no crash",
  async () => {
    const { load, traffic } = await soak({ seconds: SECONDS });
    expect(load.calls).toBeGreaterThan(500);
    expect(load.wasmRuns).toBeGreaterThan(50);
    expect(load.children).toBeGreaterThan(50);
    expect(load.failedChildren).toBe(0);
    expect(load.collections).toBeGreaterThan(10);
    // Without samples the profiler suspended nobody, and the test would show nothing.
    expect(load.samples).toBeGreaterThan(50);
    expect(traffic.requests).toBeGreaterThan(50);
    expect(traffic.failures).toEqual([]);
    // The loop never stood still; generous, since the machine may be busy with other tests.
    expect(load.maxLagMs).toBeLessThan(3_000);
  },
  (SECONDS + 60) * 1000,
);
