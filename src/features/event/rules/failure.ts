// Why a rule could not be evaluated on an event. Such a rule does not match; whoever asked counts it and shows the
// reason.

/** The reason is a text for people, without content of the event. */
export class RuleFailure extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = "RuleFailure";
  }
}
