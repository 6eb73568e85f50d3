// Positions as text: `<epoch>-<seq>` (replication.md 1).

import { Fault } from "../lib/fault.ts";

/** A place in the fleet's order of changes. */
export interface Position {
  /** Random id of the history, 10 hex digits. */
  epoch: string;
  seq: number;
}

/** Returns `<epoch>-<seq>`, the form in responses. */
export function formatPosition(position: Position): string {
  return `${position.epoch}-${position.seq}`;
}

const POSITION = /^([0-9a-f]{10})-(0|[1-9][0-9]{0,14})$/;

/** Reports whether a text is a position, of whichever history. */
export function isPosition(text: string): boolean {
  return POSITION.test(text);
}

/** Parses a position that a caller sent; Fault `invalid_input` when it is none. */
export function parsePosition(text: string): Position {
  const match = POSITION.exec(text);
  if (match?.[1] === undefined || match[2] === undefined) {
    throw new Fault("invalid_input", `${JSON.stringify(text.slice(0, 80))} is not a position`, {
      hint: "Give a position from an earlier response, such as 3f9a0c12be-42.",
    });
  }
  return { epoch: match[1], seq: Number(match[2]) };
}
