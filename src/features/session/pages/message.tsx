// One message on a page, with what is below it.
/** @jsxImportSource hono/jsx */

import { Ago, type Named, nameText, Words } from "../../../page/text.tsx";
import { Who } from "../../../page/who.tsx";
import type { ShownMessage } from "../shown.ts";
import { formLink, messageLink, sessionLink } from "./links.ts";

export interface MessageProps {
  message: ShownMessage;
  members: Named;
  nowMs: number;
}

/** Who said it, when, and how. */
export function MessageHead({ message, members, nowMs }: MessageProps) {
  const { author, agent, kind, visibility, to = [], posted_at, edited_at, client } = message;
  return (
    <p class="by">
      <strong>
        <Words text={agent ?? nameText(author, members)} />
      </strong>{" "}
      {agent === undefined ? null : (
        <span class="quiet">
          of <Words text={nameText(author, members)} />{" "}
        </span>
      )}
      <a class="quiet" href={sessionLink(message.session, {}, message.message)}>
        <Ago time={posted_at} nowMs={nowMs} />
      </a>
      {edited_at === undefined ? null : (
        <>
          {" "}
          <a class="quiet" href={messageLink(message.session, message.message)}>
            edited
          </a>
        </>
      )}{" "}
      {kind === "text" || kind === "" ? null : (
        <span class="tag">
          <Words text={kind} />
        </span>
      )}{" "}
      {visibility === "public" ? null : <span class="pill warning">{visibility}</span>}{" "}
      {to.length === 0 ? null : (
        <span class="quiet">
          to <Words text={to.join(", ")} />
        </span>
      )}
      {client === undefined ? null : (
        <span class="quiet">
          {" "}
          said by the client: <Words text={client} />
        </span>
      )}
    </p>
  );
}

/** Its text. */
export function MessageText({ message: { session, message, text, text_cut, removed } }: Pick<MessageProps, "message">) {
  if (removed !== undefined) return <p class="empty">{removed}</p>;
  return (
    <p class="said">
      <Words text={text} block />
      {text_cut === true ? (
        <>
          {" "}
          … <a href={messageLink(session, message)}>the whole text</a>
        </>
      ) : null}
    </p>
  );
}

/** The link to its own page. */
export function MessageLink({ message: { session, message } }: Pick<MessageProps, "message">) {
  return (
    <a class="quiet details" href={messageLink(session, message)}>
      Details
    </a>
  );
}

/** Who acknowledged it, and a button that does it. A closed session takes acknowledgements too. */
export function Acknowledge({ message, members }: Pick<MessageProps, "message" | "members">) {
  if (message.ack_wanted !== true) return null;
  return (
    <form method="post" action={formLink(message.session, "ack")} class="ack">
      <span class="quiet">
        {message.acks === 0 ? "wants an acknowledgement" : <AckedBy message={message} members={members} />}
        {message.acked === true ? ", you too" : ""}
      </span>{" "}
      {message.acked === true ? null : (
        <>
          <input type="hidden" name="message" value={message.message} />
          <button type="submit">Acknowledge</button>
        </>
      )}
    </form>
  );
}

function AckedBy({ message, members }: Pick<MessageProps, "message" | "members">) {
  const { acks = 0, acked_by: by = [] } = message;
  return (
    <>
      acknowledged by{" "}
      {by.map(({ author, agent }, index) => (
        <>
          {index === 0 ? "" : ", "}
          <Who author={author} agent={agent} members={members} />
        </>
      ))}
      {acks > by.length ? (
        <>
          {" and "}
          <a href={messageLink(message.session, message.message)}>{acks - by.length} more</a>
        </>
      ) : null}
    </>
  );
}
