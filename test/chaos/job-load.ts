// Clients that start jobs with keys through any node and cancel some, agents that do some, programs that nodes run, and
// schedules. All attempts write to one ledger; what was acknowledged, written and logged is recorded for job-rules.ts.

import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stateHash } from "../../src/log/state-hash.ts";
import { readStore } from "../../src/store/inspect.ts";
import { Agent, type Answer } from "../kit/agent.ts";
import { eventually } from "../kit/eventually.ts";
import type { FleetNode } from "../kit/fleet.ts";
import type { Device } from "./callers.ts";
import { type JobRun, type LedgerLine, type LoggedJob, type LoggedStep, placeOf } from "./history.ts";
import type { Random } from "./random.ts";

export interface JobLoadOptions {
  device: Device;
  /** Nodes that may be asked now. */
  nodes: () => readonly FleetNode[];
  leader: () => Promise<FleetNode>;
  random: Random;
  space: string;
}

const STARTERS = 3;
const AGENTS = 3;
const SCHEDULES = ["one", "two", "three"];
const MINUTE_MS = 60_000;
/** How long a client waits for an answer before it asks another node with the same key. */
const ANSWER_MS = 1_500;
/** Until a node takes what is asked. */
const TAKEN_MS = 60_000;
/** Until all jobs have ended, once nothing fails any more: four attempts, each with a claim that is lost. */
const END_MS = 90_000;
/** A firing may be so late: the leader looks once a second, and an election may come between. */
const FIRED_MS = 20_000;
const HEARTBEAT_MS = 1_000;
const CANCELLED_PART = 0.15;
const KEYED_PART = 0.2;

/**
 * What a node runs: it goes on where the attempt before had its checkpoint, and ends by its word: the first `fails`
 * attempts fail, `final` fails for good. Its result is its fence.
 */
const SCRIPT = `say() { printf '%s %s\\n' "$1" "$CAIRN_FENCE" >> "$LEDGER"; }
LEDGER=$1
trap 'say end; exit 1' TERM
say begin
i=0; [ -e checkpoint ] && i=$(cat checkpoint)
while [ "$i" -lt "$2" ]; do sleep 0.2; say tick; i=$((i+1)); echo "$i" > checkpoint.new; mv checkpoint.new checkpoint; done
[ "$4" = final ] && exit 7
[ "$CAIRN_ATTEMPT" -le "$3" ] && exit 1
printf %s "$CAIRN_FENCE" > result
say done`;

/** The clients, agents and schedules of one run. */
export class JobLoad {
  readonly #started: JobRun["started"][number][] = [];
  readonly #finished: JobRun["finished"][number][] = [];
  readonly #fenced: JobRun["fenced"][number][] = [];
  readonly #options: JobLoadOptions;
  readonly #folder = mkdtempSync(join(tmpdir(), "cairn-ledger-"));
  readonly #ledger = join(this.#folder, "ledger");
  readonly #stop = new AbortController();
  readonly #starters: Promise<void>[] = [];
  readonly #agents: Promise<void>[] = [];
  readonly #cancels: Promise<void>[] = [];
  #agentsStop = false;
  #n = 0;
  /** Between these times each due time of a schedule must be fired. */
  #firedFromMs = 0;
  #firedUntilMs = 0;

  constructor(options: JobLoadOptions) {
    this.#options = options;
    writeFileSync(this.#ledger, "");
  }

  /** Jobs that were started. */
  get started(): number {
    return this.#started.length;
  }

  /** Lines of the ledger. */
  get lines(): number {
    return this.#lines().length;
  }

  /** Due times of each schedule that have passed. */
  get passed(): number {
    return Math.floor(Date.now() / MINUTE_MS) - Math.floor(this.#firedFromMs / MINUTE_MS);
  }

  /** Declares actions and schedules, and begins. */
  async start(): Promise<void> {
    const { space, random } = this.#options;
    const common = { space, claim: 5, attempts: 4, backoff: 0, timeout: 30 };
    const parameters = {
      n: { type: "integer" },
      ticks: { type: "integer", min: 0, max: 40, default: 1 },
      fails: { type: "integer", min: 0, max: 9, default: 0 },
      how: { type: "string", one_of: ["plain", "final"], default: "plain" },
    };
    const argv = ["sh", "-c", SCRIPT, "sh", this.#ledger, "{ticks}", "{fails}", "{how}"];
    const tally = { ...common, argv, parameters, grace: 1, exit_final: [7] };
    await this.#declared("actions/tally", tally);
    await this.#declared("actions/review", { ...common, parameters: { n: { type: "integer" } } });
    for (const name of SCHEDULES)
      await this.#declared(`schedules/${name}`, {
        pattern: "* * * * *",
        catch_up: "once",
        action: "tally",
        input: { n: 0 },
      });
    this.#firedFromMs = Date.now();
    for (let at = 0; at < STARTERS; at += 1) this.#starters.push(this.#start(random.fork()));
    for (let at = 0; at < AGENTS; at += 1) this.#agents.push(this.#work(random.fork()));
  }

  /** Stops when all jobs have ended, within a time, and removes the schedules. */
  async stop(withinMs = END_MS): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#starters);
    this.#firedUntilMs = Date.now() - FIRED_MS;
    if (withinMs > 0) for (const name of SCHEDULES) await this.#declared(`schedules/${name}`, null);
    await Promise.all(this.#cancels);
    // What does not end is a finding of the rules.
    await eventually("all jobs to end", async () => (await this.#open()) === 0, { withinMs, stepMs: 300 }).catch(
      () => {},
    );
    this.#agentsStop = true;
    await Promise.all(this.#agents);
  }

  /** Returns what was recorded, once all nodes have applied everything; removes the ledger. */
  end([node]: readonly FleetNode[]): JobRun {
    const { space } = this.#options;
    const ledger = this.#lines();
    rmSync(this.#folder, { recursive: true, force: true });
    const seen = readStore(join(node?.dataDir ?? "", "store"), (reader) => ({
      jobs: reader.all<Omit<LoggedJob, "n"> & { input: string }>(
        "SELECT id, state, concurrency_key AS key, schedule, result, input FROM jobs WHERE space = ? ORDER BY id",
        space,
      ),
      changes: reader.all<{ seq: number; target: string; outcome: string; state: string }>(
        "SELECT seq, target, outcome, state_hash AS state FROM changes WHERE target >= ? AND target < ? ORDER BY seq",
        `${space}/`,
        `${space}0`,
      ),
    }));
    const { jobs = [], changes = [] } = seen ?? {};
    const steps: LoggedStep[] = [];
    const firings: JobRun["firings"][number][] = [];
    for (const { seq, target, outcome, state } of changes) {
      const [, place, name = ""] = target.split("/");
      if (place === "jobs") steps.push({ seq, outcome, id: `${space}/${name}` });
      if (place === "schedules" && outcome !== "removed")
        firings.push({ name, seq, outcome, dueMs: this.#minutes().find((at) => stateHash([name, at]) === state) });
    }
    const due = this.#minutes().filter((at) => at > this.#firedFromMs && at < this.#firedUntilMs);
    return {
      ...{ started: this.#started, finished: this.#finished, fenced: this.#fenced, ledger, steps, firings },
      jobs: jobs.map(({ input, ...job }) => ({ ...job, n: job.schedule === "" ? numberOf(input) : undefined })),
      due: new Map(SCHEDULES.map((name) => [name, due])),
    };
  }

  /** Returns the due times of a pattern of each minute, from before the run until after it. */
  #minutes(): number[] {
    const first = Math.floor(this.#firedFromMs / MINUTE_MS) - 1;
    const last = Math.ceil(Date.now() / MINUTE_MS) + 1;
    return Array.from({ length: last - first + 1 }, (_, at) => (first + at) * MINUTE_MS);
  }

  #lines(): LedgerLine[] {
    return readFileSync(this.#ledger, "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => {
        const [what = "", name = ""] = line.split(" ");
        const isFence = what !== "cancelled";
        return { what: what as LedgerLine["what"], id: name.split("@")[0] ?? "", fence: isFence ? name : "" };
      });
  }

  #write(what: LedgerLine["what"], name: string): void {
    appendFileSync(this.#ledger, `${what} ${name}\n`);
  }

  /** Starts jobs, each until a node takes it: the key makes a repeat the same job. */
  async #start(random: Random): Promise<void> {
    const { space } = this.#options;
    while (!this.#stop.signal.aborted) {
      this.#n += 1;
      const n = this.#n;
      const isOfNode = random.chance(0.6);
      const input = isOfNode
        ? { n, ticks: random.between(0, 12), fails: random.pick([0, 0, 0, 1, 2, 9]), how: random.pick(HOWS) }
        : { n };
      const key = random.chance(KEYED_PART) ? { concurrency_key: `k${random.between(1, 3)}` } : {};
      const asked = {
        ...{ action: isOfNode ? "tally" : "review", space, input, ...key, priority: random.between(-1, 1) },
        idempotency_key: `start-${n}`,
      };
      const answer = await this.#taken("job_start", asked, random);
      const id = String(answer.body["id"]);
      this.#started.push({ n, id });
      if (random.chance(CANCELLED_PART)) this.#cancels.push(this.#cancel(id, random.fork()));
      await Bun.sleep(random.between(500, 2_500));
    }
  }

  /** Cancels a job, and notes in the ledger when it is known to be cancelled. */
  async #cancel(id: string, random: Random): Promise<void> {
    await Bun.sleep(random.between(0, 2_500));
    await this.#taken("job_cancel", { id }, random);
    const untilMs = performance.now() + TAKEN_MS;
    while (performance.now() < untilMs) {
      const answer = await this.#askOnce("job_get", { id }, random);
      const { state } = (answer?.body["job"] ?? {}) as { state?: string };
      if (state === "cancelled") this.#write("cancelled", id);
      if (state !== undefined && !OPEN.includes(state)) return;
      await Bun.sleep(200);
    }
  }

  /** An agent: claims jobs and does them. */
  async #work(random: Random): Promise<void> {
    const { space } = this.#options;
    while (!this.#agentsStop) {
      const sentMs = performance.now();
      const input = { space, actions: ["review"], idempotency_key: `claim-${random.next()}` };
      const answer = await this.#askSome("job_claim", input, random);
      const job = answer?.status === 200 ? (answer.body["job"] as Claimed | undefined) : undefined;
      if (job !== undefined) await this.#attempt(job, sentMs, random);
      await Bun.sleep(random.between(200, 600));
    }
  }

  /** Does a job for a while. Some agents are gone without a word, and some say at last what came of it. */
  async #attempt({ id, fence, safe_seconds }: Claimed, sentMs: number, random: Random): Promise<void> {
    const isLate = random.chance(0.1);
    if (random.chance(0.1)) return;
    let safeUntilMs = sentMs + safe_seconds * 1000;
    const isSafe = () => performance.now() < safeUntilMs;
    if (!isSafe()) return;
    this.#write("begin", fence);
    const endMs = performance.now() + random.between(100, 4_000);
    let heartMs = performance.now();
    while (performance.now() < endMs) {
      await Bun.sleep(150);
      if (!isSafe()) return;
      this.#write("tick", fence);
      if (random.chance(0.3)) await this.#put(id, fence, random);
      if (performance.now() - heartMs < HEARTBEAT_MS) continue;
      heartMs = performance.now();
      const answer = await this.#askOnce("job_heartbeat", { id, fence }, random);
      if (answer?.body["cancel"] === true) break;
      if (answer?.status === 200) safeUntilMs = heartMs + Number(answer.body["safe_seconds"]) * 1000;
      else if (answer?.body["code"] === "lease_lost") return;
    }
    if (!isSafe()) return;
    this.#write("done", fence);
    if (isLate) await Bun.sleep(7_000);
    const outcome = random.chance(0.8)
      ? { outcome: "succeeded", result: fence }
      : { outcome: "failed", error: "drawn" };
    const answer = await this.#askSome(
      "job_finish",
      { id, fence, ...outcome, idempotency_key: `end-${fence}` },
      random,
    );
    if (answer?.status === 200) this.#finished.push({ id, fence, state: String(answer.body["state"]) });
  }

  /** Writes under the fence. It may be refused: the resource decides, not the clock of the agent. */
  async #put(id: string, fence: string, random: Random): Promise<void> {
    const input = {
      id: `${this.#options.space}/ledger`,
      content: fence,
      fence,
      idempotency_key: `put-${random.next()}`,
    };
    const answer = await this.#askOnce("context_put", input, random);
    const place = placeOf(answer?.headers.get("cairn-position"));
    if (answer?.status === 200 && place !== undefined) this.#fenced.push({ id, fence, seq: place.seq });
  }

  /** Returns how many jobs have not ended. */
  async #open(): Promise<number | undefined> {
    const leader = await this.#options.leader();
    let open = 0;
    for (const state of OPEN) {
      const answer = await leader
        .call("job_list", { space: this.#options.space, state, limit: 200 })
        .catch(() => undefined);
      if (answer?.status !== 200) return undefined;
      open += (answer.body["jobs"] as unknown[]).length;
    }
    return open;
  }

  /** Declares something, or with null ends that, as the user of the leader's machine. */
  async #declared(place: string, content: object | null): Promise<void> {
    const id = `fleet/${place}`;
    const look = async () => {
      const leader = await this.#options.leader();
      const [operation, input] = content === null ? ["context_delete", { id }] : ["context_put", { id, content }];
      const answer = await leader.call(operation as string, input as object, ANSWER_MS).catch(() => undefined);
      if (content === null && answer?.status === 404) return true;
      if (answer !== undefined && answer.status >= 400 && answer.status < 500) throw new Error(answer.text);
      return answer?.status === 200;
    };
    await eventually(`${id} to be declared`, look, { withinMs: TAKEN_MS });
  }

  /** Has something done at any node. */
  async #taken(operation: string, input: object, random: Random): Promise<Answer> {
    const untilMs = performance.now() + TAKEN_MS;
    for (;;) {
      const answer = await this.#askOnce(operation, input, random);
      if (answer?.status === 200) return answer;
      // A node that has just begun may not know yet what is declared.
      const isRefused = answer !== undefined && answer.status < 500 && answer.status !== 429 && answer.status !== 404;
      if (isRefused) throw new Error(`${operation} was refused: ${answer.text}`);
      if (performance.now() > untilMs)
        throw new Error(`no node did ${operation} within ${TAKEN_MS} ms: ${answer?.text}`);
      await Bun.sleep(random.between(20, 100));
    }
  }

  /** Asks up to three nodes, one after the other, until one answers with anything but "not now". */
  async #askSome(operation: string, input: object, random: Random): Promise<Answer | undefined> {
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      const answer = await this.#askOnce(operation, input, random);
      if (answer !== undefined && answer.status < 500) return answer;
    }
    return undefined;
  }

  async #askOnce(operation: string, input: object, random: Random): Promise<Answer | undefined> {
    const nodes = this.#options.nodes();
    if (nodes.length === 0) return undefined;
    const agent = new Agent(this.#options.device, random.pick(nodes).base);
    const asked = agent.http(`/operations/${operation}`, {
      method: "POST",
      body: JSON.stringify(input),
      headers: { "content-type": "application/json" },
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    return asked.catch(() => undefined);
  }
}

const OPEN: readonly string[] = ["queued", "claimed", "running"];
const HOWS = ["plain", "plain", "plain", "plain", "final"] as const;

interface Claimed {
  id: string;
  fence: string;
  safe_seconds: number;
}

function numberOf(input: string): number | undefined {
  const { n } = JSON.parse(input) as { n?: number };
  return n;
}
