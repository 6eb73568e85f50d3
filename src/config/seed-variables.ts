// Variables of tas-mcp without a prefix, each another name of a setting. So a deployment of it starts a node as it is.

/** Another name of a setting. */
export interface SeedVariable {
  /** The setting. */
  key: string;
  /** Returns its text as the setting takes it; what it does not know it leaves, for the setting to refuse. */
  read(text: string): string;
}

const SIZE = /^([0-9]+)\s*([KMG])B$/i;
/** One byte unit of tas-mcp is a power of 1,024. */
const size = (text: string): string =>
  text.trim().replace(SIZE, (_, digits, unit) => `${digits}${unit.toUpperCase()}iB`);
const plain = (text: string): string => text.trim();

/** Returns whole seconds of `30s`, `1m30s` or `500ms`, rounded up. */
function seconds(text: string): string {
  const units: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600 };
  const parts = [...text.trim().matchAll(/([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map(([part]) => part).join("") !== text.trim()) return text.trim();
  return String(Math.ceil(parts.reduce((sum, [, amount, unit = ""]) => sum + Number(amount) * (units[unit] ?? 0), 0)));
}

/** By name. */
export const SEED_VARIABLES: Readonly<Record<string, SeedVariable>> = {
  FORWARD_TO: { key: "events.forward_to", read: plain },
  FORWARD_TIMEOUT: { key: "events.forward_timeout", read: seconds },
  MAX_EVENT_SIZE: { key: "events.max_bytes", read: size },
  BUFFER_SIZE: { key: "limits.socket_events", read: plain },
  MAX_CONNECTIONS: { key: "limits.streams", read: plain },
};
