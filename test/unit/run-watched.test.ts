// Programs of the gate that print, and one that never returns.

import { expect, test } from "bun:test";
import { runWatched } from "../../scripts/run-watched.ts";
import { eventually } from "../kit/eventually.ts";
import { isRunning } from "../kit/processes.ts";

const run = (script: string, quietMs: number) => {
  let text = "";
  const write = (part: string) => {
    text += part;
  };
  const ended = runWatched(["sh", "-c", script], { cwd: "/", env: process.env, write, quietMs });
  return { ended, text: () => text };
};

test("a program that prints now and then runs to its end", async () => {
  const { ended, text } = run("for i in 1 2 3 4 5; do sleep 0.3; echo $i; done; echo end >&2; exit 3", 1200);
  expect(await ended).toBe(3);
  expect(text().split("\n").sort()).toEqual(["", "1", "2", "3", "4", "5", "end"]);
});

test("one that prints nothing is ended with what it started, and that is said", async () => {
  const { ended, text } = run("sh -c 'echo $$; while :; do :; done' & sleep 100; wait", 700);
  const said = ended.catch((error: Error) => error.message);
  const pid = Number(await eventually("its pid", () => /^\d+\n/.exec(text())?.[0]));
  expect(isRunning(pid)).toBe(true);
  expect(await said).toBe("printed nothing for 0.7 s and was ended: a test in it never returns");
  await eventually("its end", () => !isRunning(pid));
});
