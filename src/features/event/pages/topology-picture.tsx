// A picture of how events flow: senders, spaces, subscriptions, targets, from left to right, with a line for each way.
// The tables beside it say the same in words; the picture itself is not read aloud.
/** @jsxImportSource hono/jsx */

import { printableLine } from "../../../lib/printable.ts";
import type { Topology } from "../stats/topology-operation.ts";

/** Boxes of one column; the rest are one more box. */
const MAX_BOXES = 12;
const MAX_CHARACTERS = 24;
const WIDTH = 190;
const GAP = 70;
const HEIGHT = 26;
const ROW = 36;

/** A box. `state` is the class of its colour. */
interface Box {
  id: string;
  label: string;
  state: "" | "ok" | "failing" | "quiet";
}

/** A way of events, by the ids of two boxes of columns side by side. */
interface Way {
  from: string;
  to: string;
  state: Box["state"];
}

/** The boxes by column, and the ways between them. */
export interface Drawing {
  columns: Box[][];
  ways: Way[];
}

/** Returns what is drawn: each column is bounded, and no way leads to what is not there. */
export function drawingOf({ senders, subscriptions, targets }: Topology): Drawing {
  const spaces = [...new Set([...senders, ...subscriptions].map(({ space }) => space))].sort();
  const healthOf = new Map(targets.map(({ name, health }) => [name, health]));
  const ends = [...new Set(subscriptions.map(endOf)), ...targets.map(({ name }) => name)];
  const columns = [
    [...new Set(senders.map(({ name }) => name))].map((name): Box => ({ id: `a ${name}`, label: name, state: "" })),
    spaces.map((space): Box => ({ id: `b ${space}`, label: space, state: "" })),
    subscriptions.map(({ id, state }): Box => ({ id: `c ${id}`, label: id, state: STATES[state] ?? "" })),
    [...new Set(ends)].map(
      (end): Box => ({ id: `d ${end}`, label: end, state: STATES[healthOf.get(end) ?? ""] ?? "" }),
    ),
  ].map((boxes, column) => bounded(boxes, `${column} more`));
  const shown = new Set(columns.flatMap((boxes) => boxes.map(({ id }) => id)));
  const ways = [
    ...senders.map(({ name, space }): Way => ({ from: `a ${name}`, to: `b ${space}`, state: "" })),
    ...subscriptions.flatMap((each): Way[] => [
      { from: `b ${each.space}`, to: `c ${each.id}`, state: STATES[each.state] ?? "" },
      { from: `c ${each.id}`, to: `d ${endOf(each)}`, state: STATES[each.state] ?? "" },
    ]),
  ].filter(({ from, to }) => shown.has(from) && shown.has(to));
  return { columns, ways };
}

const STATES: Readonly<Record<string, Box["state"]>> = {
  ...{ active: "ok", ok: "ok", failing: "failing", paused: "quiet", stopped: "quiet", unused: "quiet" },
};

function endOf({ target, kind }: Topology["subscriptions"][number]): string {
  return target === "" ? `(${kind})` : target;
}

function bounded(boxes: readonly Box[], id: string): Box[] {
  if (boxes.length <= MAX_BOXES) return [...boxes];
  const rest = boxes.length - MAX_BOXES + 1;
  return [...boxes.slice(0, MAX_BOXES - 1), { id, label: `… and ${rest} more`, state: "quiet" }];
}

/** The picture. */
export function TopologyPicture({ topology }: { topology: Topology }) {
  const { columns, ways } = drawingOf(topology);
  const rows = Math.max(1, ...columns.map((boxes) => boxes.length));
  const places = new Map(
    columns.flatMap((boxes, column) =>
      boxes.map(({ id }, row) => [id, { x: column * (WIDTH + GAP), y: placeOf(row, boxes.length, rows) }] as const),
    ),
  );
  const width = columns.length * WIDTH + (columns.length - 1) * GAP;
  return (
    <svg class="topology" viewBox={`0 -20 ${width} ${rows * ROW + 22}`} aria-hidden="true" focusable="false">
      {["Senders", "Spaces", "Subscriptions", "Targets"].map((title, column) => (
        <text class="title" x={column * (WIDTH + GAP)} y="-7">
          {title}
        </text>
      ))}
      {ways.map(({ from, to, state }) => {
        const start = places.get(from);
        const end = places.get(to);
        return start === undefined || end === undefined ? null : <path class={state} d={curve(start, end)} />;
      })}
      {columns.flat().map((box) => {
        const place = places.get(box.id);
        return place === undefined ? null : <BoxShape box={box} x={place.x} y={place.y} />;
      })}
    </svg>
  );
}

/** A column that has fewer boxes than the longest one is spread over its height. */
function placeOf(row: number, count: number, rows: number): number {
  return Math.round(((row + 0.5) * rows * ROW) / count - ROW / 2);
}

interface Place {
  x: number;
  y: number;
}

function curve(from: Place, to: Place): string {
  const start = { x: from.x + WIDTH, y: from.y + HEIGHT / 2 };
  const end = { x: to.x, y: to.y + HEIGHT / 2 };
  const middle = start.x + GAP / 2;
  return `M ${start.x} ${start.y} C ${middle} ${start.y} ${middle} ${end.y} ${end.x} ${end.y}`;
}

function BoxShape({ box: { label, state }, x, y }: { box: Box; x: number; y: number }) {
  return (
    <g class={state}>
      <rect x={x} y={y} width={WIDTH} height={HEIGHT} rx="5" />
      <svg x={x} y={y} width={WIDTH - 6} height={HEIGHT} aria-hidden="true">
        <text x="8" y={HEIGHT / 2 + 4}>
          {shortened(label)}
        </text>
      </svg>
    </g>
  );
}

function shortened(text: string): string {
  const characters = [...printableLine(text.replace(/^user:/, ""))];
  return characters.length <= MAX_CHARACTERS
    ? characters.join("")
    : `${characters.slice(0, MAX_CHARACTERS - 1).join("")}…`;
}
