// Asks a member of test/kit/raft.ts for its vote as another server would: the hello of native/raftlog, then raft's own
// call, over TCP. So a test chooses term and candidate, and no election timeout decides.

import { connect } from "node:net";
import { plainPackr } from "../../src/lib/plain-packr.ts";
import { inTime } from "./in-time.ts";
import type { Driver } from "./raft.ts";

/** Bound of one call on a busy machine. */
const CALL_MS = 20_000;
/** `rpcRequestVote` of hashicorp/raft. */
const REQUEST_VOTE = 1;
const packr = plainPackr();

/** Reports whether the member votes in that term for `candidate`, the server id of a voter. */
export async function askVote(member: Driver, candidate: string, term: number): Promise<boolean> {
  const [host, port] = member.address.split(":");
  const socket = connect({ host, port: Number(port) });
  const chunks: AsyncIterator<Buffer> = socket[Symbol.asyncIterator]();
  const call = async () => {
    socket.write(helloOf(member, candidate));
    const { refused } = await received(chunks, (bytes) => JSON.parse(bytes.subarray(4).toString()));
    if (refused !== "") throw new Error(`the hello was refused: ${refused}`);
    socket.write(Buffer.concat([Buffer.of(REQUEST_VOTE), packr.pack(requestOf(candidate, term))]));
    const [error, response] = await received(chunks, (bytes) => packr.unpackMultiple(bytes) as unknown[]);
    if (error !== "") throw new Error(`the call failed: ${error}`);
    return (response as { Granted: boolean }).Granted;
  };
  try {
    return await inTime(CALL_MS, call());
  } finally {
    socket.destroy();
  }
}

/** Reads until the bytes are whole, which is when `parse` does not throw. */
async function received<T>(chunks: AsyncIterator<Buffer>, parse: (bytes: Buffer) => T): Promise<T> {
  let bytes = Buffer.alloc(0);
  for (;;) {
    const { value, done } = await chunks.next();
    if (done === true) throw new Error(`the member closed the connection after ${bytes.length} bytes`);
    bytes = Buffer.concat([bytes, value]);
    try {
      return parse(bytes);
    } catch {
      // More is to come.
    }
  }
}

/** With wire version, fleet and epoch as the driver has them without flags. */
function helloOf({ server }: Driver, from: string): Buffer {
  const text = JSON.stringify({ wire: 1, fleet: "test", epoch: "0000000000", from, to: server, pool: "control" });
  const size = Buffer.alloc(4);
  size.writeUInt32BE(text.length);
  return Buffer.concat([size, Buffer.from(text)]);
}

/** The fields of raft's RequestVoteRequest; the log of the candidate is longer than any. */
function requestOf(candidate: string, term: number) {
  const server = Buffer.from(candidate);
  return {
    ProtocolVersion: 3,
    ID: server,
    Addr: server,
    Term: term,
    Candidate: server,
    LastLogIndex: 1_000_000,
    LastLogTerm: term - 1,
    // The member votes even while it knows a leader.
    LeadershipTransfer: true,
  };
}
