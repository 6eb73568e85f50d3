// Describes which failures the present voters can survive: the same sentence in status and at a join.

/** A voter, and whether it responds now. */
export interface VoterState {
  alive: boolean;
}

/** Returns the sentence. `full` counts the members that hold the whole store. */
export function faultToleranceText(voters: readonly VoterState[], full: number): string {
  const count = voters.length;
  const alive = voters.filter((voter) => voter.alive).length;
  const majority = Math.floor(count / 2) + 1;
  if (count === 0) return "This node does not know the voters of its fleet yet.";
  if (alive < majority) {
    return (
      `No writes now: ${alive} of ${count} voters ${alive === 1 ? "is" : "are"} there, and ${majority} are needed; ` +
      "bring voters back."
    );
  }
  const spare = alive - majority;
  if (spare > 0) return `${spare} of ${count} voters may fail${away(count - alive)}.`;
  if (count > 1) return `No more voter may fail${away(count - alive)}: bring one back or replace it.`;
  if (full === 1)
    return "No voter may fail: this node is the only one that holds the store; scheduled backups are its only copy.";
  if (full === 2) {
    return (
      "No voter may fail: with two full nodes there is no automatic failover; see cairn promote --accept-loss. " +
      "Three central nodes change that."
    );
  }
  return `No voter may fail: one of ${full} full nodes votes; cairn promote two others for automatic failover.`;
}

function away(count: number): string {
  return count === 0 ? "" : `; ${count} ${count === 1 ? "does" : "do"} not respond now`;
}
