// Types of a manifest's parts for browsers: pages, sections of the overview, and what the frame around each page shows.
// Each calls operations with the rights of its caller. Routes, frame, style and streams are in src/web.

import type { Child } from "hono/jsx";
import type { z } from "zod";
import type { Caller } from "../access/caller.ts";
import type { Fault } from "../lib/fault.ts";

/** A page of its own. */
export interface Page {
  /** Under `/ui/`. One that ends with `/` serves every address below it, which `visit.rest` names. */
  path: string;
  /** What it shows, in a few words, for docs/routes.md. */
  summary: string;
  /** Its link in the bar of the pages; left out: only other pages link to it. */
  navigation?: Navigation;
  /** Path of the page whose link is marked while this one is open; left out: the one that its own path begins with. */
  within?: string;
  /** Asks and renders. A Fault it rejects with becomes the page. */
  open(visit: Visit): Promise<View>;
  /** Its forms that write, by name: they post to the address of the page with `?form=NAME`. */
  forms?: Readonly<Record<string, PageForm>>;
}

/** A link in the bar of the pages. */
export interface Navigation {
  order: number;
  label: string;
  /** Name of the operation that the page shows: who may not use it anywhere gets no link. Left out: for everyone. */
  needs?: string;
}

/** A form of a page: one call of an operation, as the caller that sends it. */
export interface PageForm {
  operation: string;
  /** Its button, by which errors name the operation. */
  label: string;
  /** Its fields; every other one is refused, apart from `key` (page/form-key.tsx). */
  fields: readonly string[];
  /** Returns the arguments that the address names: the right to them is judged before the form is read. */
  known(rest: string): Record<string, unknown>;
  /** Returns the other arguments. Fields that a browser does not send are missing; line ends are `\n`. */
  input(fields: Readonly<Record<string, string>>): Record<string, unknown>;
  /** Returns the address of the page that is shown then. */
  next(output: Readonly<Record<string, unknown>>, rest: string): string;
}

/** A rendered page. */
export interface View {
  /** For the title bar of the browser. */
  title: string;
  /** Left out: the page has no live stream. */
  follows?: Follows;
  /** What it shows changes without a change of the log: an open page is fetched again after so many seconds. */
  againSeconds?: number;
  /** It has figures with `data-chart`, which a script draws from the tables that they name. */
  charts?: true;
  body: Child;
}

/**
 * Changes after which an open page is fetched again: those of one target, or of all targets with a prefix; with
 * neither, all that the caller may read.
 */
export interface Follows {
  id?: string;
  prefix?: string;
}

/** A part of the overview at `/`. */
export interface Section {
  column: "wide" | "side";
  /** Place in the column, from the top. */
  order: number;
  /** What it lists, where that belongs into the title and heading of the overview. */
  heading?: string;
  /** Asks and renders. A Fault it rejects with becomes the page. */
  show(visit: Visit): Promise<Pick<View, "follows" | "body">>;
}

/** What the frame of every page shows of the node, and pages use to name nodes. */
export interface FrameFacts {
  /** Full name on the tailnet, or `cairn`. */
  name: string;
  /** The worst of its conditions; undefined where the caller may not know it. */
  status: "ok" | "warning" | "failing" | undefined;
  /** Base URL of the node on the tailnet. */
  url: string | undefined;
  /** Members of the fleet, by StableNodeID; empty where the caller may not know them. */
  members: readonly { node: string; name: string }[];
}

/** An operation; or its name with a schema of its output. */
export interface Asked<O extends z.ZodType> {
  name: string;
  output: O;
}

/** One request for a page. */
export interface Visit {
  caller: Caller;
  /** Scheme and host of the request. */
  origin: string;
  /** The part of the address after the page's path, decoded. */
  rest: string;
  /** Returns a parameter of the address, or "". */
  parameter(name: string): string;
  /** Wall clock in ms. */
  nowMs: number;
  /** Runs an operation as the caller and returns its output; the same call once a visit. Rejects with its Fault. */
  ask<O extends z.ZodType>(operation: Asked<O>, input?: Record<string, unknown>): Promise<z.infer<O>>;
  /** Like `ask`, with a Fault as a value, to be shown in place of a part; rejects where it is `internal`. */
  tryAsk<O extends z.ZodType>(operation: Asked<O>, input?: Record<string, unknown>): Promise<z.infer<O> | Fault>;
  /**
   * Reports whether this node has an operation and the caller's grants allow it in a space: whether a page offers it.
   * The call is judged again.
   */
  may(operation: string, space: string): boolean;
  /** Returns what is known of the node, as far as the caller may know it. */
  frame(): Promise<FrameFacts>;
}
