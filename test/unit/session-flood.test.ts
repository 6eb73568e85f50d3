// A session that somebody fills with messages that others may not read: their reads stay cheap, and find what there is.

import { expect, test } from "bun:test";
import { Someone, startSessions, user } from "../kit/sessions.ts";

const HIDDEN = 20_500;

test("a page over many hidden messages is short, says where to go on, and ends at what may be read", async () => {
  await using core = startSessions();
  const [ann, bob] = [new Someone(core, user("ann")), new Someone(core, user("bob"))];
  const session = await ann.create();
  const since = core.invoker.position();
  const first = await ann.post(session, "first @bob@example.com");
  // All of them mention Bob, who may read none.
  const hide = () => ann.post(session, "@bob@example.com", { visibility: "private", to: ["ann@example.com"] });
  for (let n = 0; n < HIDDEN; n += 500) await Promise.all(Array.from({ length: 500 }, hide));
  const far = await bob.call("message_wait", { session, since, timeout_seconds: 0 });
  expect([(far["events"] as unknown[]).length, far["timed_out"]]).toEqual([1, false]);
  const near = await bob.call("message_wait", { session, since: far["position"], timeout_seconds: 0 });
  expect([near["events"], near["timed_out"], near["position"]]).toEqual([[], true, core.invoker.position()]);
  const newest = await bob.call("message_list", { session });
  expect([newest["messages"], typeof newest["older"]]).toEqual([[], "string"]);
  const older = await bob.call("message_list", { session, before: newest["older"] });
  expect([(older["messages"] as { message: string }[]).map(({ message }) => message), older["older"]]).toEqual([
    [first],
    undefined,
  ]);
  const thread = await bob.call("message_list", { session, thread: first });
  expect([(thread["messages"] as unknown[]).length, typeof thread["newer"]]).toEqual([1, "string"]);
  const rest = await bob.call("message_list", { session, thread: first, after: thread["newer"] });
  expect([rest["messages"], rest["newer"]]).toEqual([[], undefined]);
  expect(await bob.call("session_get", { session })).toMatchObject({ message_count: 1, messages: [] });
  expect(await bob.inbox()).toEqual([]);
  expect(await ann.call("session_get", { session, limit: 1 })).toMatchObject({ message_count: 1 + 20_000 });
}, 60_000);
