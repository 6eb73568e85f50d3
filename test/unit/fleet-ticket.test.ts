// The text of a ticket, the role that it is for, and the proofs that it is known (security.md 10).

import { expect, test } from "bun:test";
import { hashOf, parseTicket, type Ticket, ticketText } from "../../src/fleet/index.ts";
import { proofOf, refuseOtherRole, sameProof } from "../../src/fleet/join/ticket.ts";

const ticket: Ticket = { role: "regional", fleetId: "0a".repeat(16), secret: "1b".repeat(16) };

test.each(["central", "regional", "edge"] as const)("a ticket for the role %s is read as it was made", (role) => {
  expect(parseTicket(` ${ticketText({ ...ticket, role })}\n`, "it")).toEqual({ ...ticket, role });
});

test.each([
  "",
  "x",
  ticketText(ticket).replace("regional", "leader"),
  ticketText(ticket).slice(0, -1),
  `${ticketText(ticket)}0`,
  ticketText(ticket).toUpperCase(),
])("%j is no ticket, and its text is not repeated", (text) => {
  const refused = () => parseTicket(text, "FILE");
  const counted = text === "x" ? "1 character that is" : `${text.length} characters that are`;
  expect(refused).toThrow(`FILE holds ${counted} no ticket`);
  expect(refused).not.toThrow(ticket.secret);
});

test("a ticket is for its role alone; a node without a role or a ticket is refused nothing", () => {
  expect(() => refuseOtherRole("regional", ticket)).not.toThrow();
  expect(() => refuseOtherRole(undefined, ticket)).not.toThrow();
  expect(() => refuseOtherRole("central", undefined)).not.toThrow();
  for (const role of ["central", "edge"] as const)
    expect(() => refuseOtherRole(role, ticket)).toThrow(`for the role regional, and this node is to join as ${role}`);
});

test("a proof is bound to ticket, nonce, fleet and device", () => {
  const asked = { nonce: "n", fleetId: ticket.fleetId, node: "nA" };
  const proof = proofOf(hashOf(ticket.secret), asked);
  expect(sameProof(proof, proofOf(hashOf(ticket.secret), { ...asked }))).toBe(true);
  for (const other of [
    proofOf(hashOf("2c".repeat(16)), asked),
    proofOf(hashOf(ticket.secret), { ...asked, nonce: "m" }),
    proofOf(hashOf(ticket.secret), { ...asked, fleetId: "f" }),
    proofOf(hashOf(ticket.secret), { ...asked, node: "nB" }),
    proof.slice(1),
    "",
  ])
    expect(sameProof(proof, other)).toBe(false);
});
