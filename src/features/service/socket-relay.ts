// A WebSocket between a caller and a service: passes messages on in both directions until either side ends it, the
// caller may not reach the service any more, or the service is elsewhere.

import type { DialedSocket } from "../../lib/dialed-socket.ts";
import { Fault } from "../../lib/fault.ts";
import { type SocketHandlers, type SocketPeer, UPGRADED } from "../../lib/socket.ts";
import { isSentCode } from "../../lib/socket-frames.ts";
import { answered, notUpgraded, type Socket } from "./requests.ts";

/** Times, in ms. */
export interface RelayTiming {
  /** How often the caller is judged again, and the other side asked for a sign of life. */
  judgeMs: number;
  /** A side that says or takes nothing for so long is given up. */
  silentMs: number;
  /** Time for a caller to take the reason of an end. */
  graceMs: number;
}

/** What holds where nobody says otherwise. */
export const RELAY_TIMING: RelayTiming = { judgeMs: 15_000, silentMs: 60_000, graceMs: 10_000 };

/** Bytes that a caller has not taken before the service is not read any more. */
const MAX_AHEAD_BYTES = 256 * 1024;
/** Bytes that a service has not taken before its caller is cut: what callers send cannot be held up. */
const MAX_BEHIND_BYTES = 4 * 1024 * 1024;

const CODES = { goingAway: 1001, broken: 1011, refused: 1008, moved: 1012, slow: 1013 } as const;
/** The faults of `service_open` that say where the service is, and nothing of the caller. */
const ELSEWHERE: ReadonlySet<string> = new Set(["unavailable", "not_found", "invalid_input"]);

export interface SocketRelayOptions {
  /** The socket to the service, or to the member that has it. */
  far: DialedSocket;
  /** Judges the caller again. Resolves with false where the service is elsewhere now; rejects with Faults. */
  judge: (signal: AbortSignal) => Promise<boolean>;
  /** Called once, when both sides are over. */
  onGone: () => void;
  timing: RelayTiming;
}

/** Both sides of one socket. */
export class SocketRelay implements SocketHandlers {
  readonly #options: SocketRelayOptions;
  readonly #ending = new AbortController();
  readonly #timer: ReturnType<typeof setInterval>;
  #peer: SocketPeer | undefined;
  /** Since when the caller takes nothing of what waits, in ms of `performance.now()`. */
  #fullMs: number | undefined;
  #isJudging = false;
  #isOver = false;

  constructor(options: SocketRelayOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#tick(), options.timing.judgeMs);
    this.#timer.unref();
  }

  opened(peer: SocketPeer): void {
    this.#peer = peer;
    this.#options.far.start({
      message: (data) => {
        if (this.#isOver) return;
        peer.send(data);
        if (peer.buffered() <= MAX_AHEAD_BYTES) return;
        this.#fullMs ??= performance.now();
        this.#options.far.pause();
      },
      drained: () => {},
      closed: (code, reason) => this.#endCaller(code === 1006 ? CODES.moved : code, reason),
    });
  }

  message(data: string | Uint8Array): void {
    const { far } = this.#options;
    if (far.buffered <= MAX_BEHIND_BYTES) far.send(data);
    else this.end(CODES.slow, "the service takes what you send too slowly");
  }

  drained(): void {
    if (this.#peer === undefined || this.#peer.buffered() > MAX_AHEAD_BYTES) return;
    this.#fullMs = undefined;
    this.#options.far.resume();
  }

  closed(code: number, reason: string): void {
    this.#peer = undefined;
    this.#finish();
    this.#options.far.close(isSentCode(code) || code === 1005 ? code : CODES.goingAway, reason);
  }

  /** Ends both sides with a reason. */
  end(code: number, reason: string): void {
    this.#endCaller(code, reason);
    this.#options.far.close(CODES.goingAway, "");
  }

  #endCaller(code: number, reason: string): void {
    if (this.#isOver) return;
    const peer = this.#peer;
    this.#finish();
    if (peer === undefined) return;
    // Bun sends a frame without a code for none.
    peer.close(isSentCode(code) ? code : 1000, reason);
    setTimeout(() => this.#peer?.terminate(), this.#options.timing.graceMs).unref();
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearInterval(this.#timer);
    this.#ending.abort();
    this.#options.onGone();
  }

  #tick(): void {
    const { far, timing } = this.#options;
    const now = performance.now();
    const takesNothing = this.#fullMs !== undefined && now - this.#fullMs > timing.silentMs;
    if (takesNothing) this.end(CODES.slow, "you take nothing of what the service sends");
    else if (now - far.heardMs > timing.silentMs) this.end(CODES.broken, "the service does not answer");
    if (this.#isOver) return;
    far.ping();
    if (!this.#isJudging) this.#judge().catch(() => this.end(CODES.broken, "this node cannot judge you now"));
  }

  async #judge(): Promise<void> {
    this.#isJudging = true;
    try {
      const stays = await this.#options.judge(this.#ending.signal);
      if (!stays) this.end(CODES.moved, "the service is elsewhere now: come back");
    } catch (error) {
      if (this.#isOver) return;
      if (!(error instanceof Fault)) throw error;
      // Asking too much ends nothing: the next look says more.
      if (error.code === "rate_limited") return;
      if (ELSEWHERE.has(error.code)) this.end(CODES.moved, "the service is ready nowhere: come back");
      else this.end(CODES.refused, "you may not reach the service any more");
    } finally {
      this.#isJudging = false;
    }
  }
}

/**
 * Opens the socket to the service, then that of the caller. What refuses the first one is the answer. `release` is
 * called once both are over, or never were.
 */
export async function relayed(
  { upgrade, protocols }: Socket,
  {
    dial,
    release,
    ...more
  }: Pick<SocketRelayOptions, "judge" | "timing"> & {
    dial: () => Promise<DialedSocket | Response>;
    release: () => void;
  },
): Promise<Response> {
  try {
    const far = await dial();
    if (far instanceof Response) {
      release();
      return answered(far);
    }
    const relay = new SocketRelay({ far, onGone: release, ...more });
    const isOffered = protocols.split(",").some((each) => each.trim() === far.protocol);
    if (upgrade(relay, isOffered ? far.protocol : "")) return UPGRADED;
    relay.closed(1006, "");
    throw notUpgraded();
  } catch (error) {
    release();
    throw error;
  }
}
