// What a node sees of the fleet around it, for features that judge whether something else failed or this node itself.

import { ServiceKey } from "./services.ts";

/** A member as this node sees it. */
export interface SeenMember {
  node: string;
  /** As the tailnet shows it. */
  name: string;
  /** This node. */
  self: boolean;
  /** No beat of it has arrived for seconds. */
  away: boolean;
  /** Round trip of its beats in ms; null: not measured. */
  roundTripMs: number | null;
  /** Labels of its machine; undefined: nothing was heard of it yet. */
  labels: readonly string[] | undefined;
  /** A program of a person's machine, which sleeps (an edge). */
  sleeps: boolean;
}

/** What is around a node. */
export interface Surroundings {
  /** Whether the control server answers; undefined where there is none (`cairn dev`). */
  control(): boolean | undefined;
  /** The members, this node among them. */
  members(): Promise<readonly SeenMember[]>;
}

/** What is around this node. */
export const SURROUNDINGS: ServiceKey<Surroundings> = new ServiceKey("what is around the node");
