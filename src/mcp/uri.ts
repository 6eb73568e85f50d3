// URIs of resources by their template. Each target has one spelling, so that a URI can be compared and indexed as text.

/** An RFC 6570 template with one variable at its end, `{name}` or `{+name}`. */
export class UriTemplate {
  readonly text: string;
  /** The text before the variable. */
  readonly prefix: string;
  /** Name of the variable. */
  readonly variable: string;

  /** Throws an Error for a template of another form, which is a mistake in a manifest. */
  constructor(text: string) {
    const [, prefix, variable] = /^([a-z][a-z0-9+.-]*:[^{}]*)\{\+?(\w+)\}$/.exec(text) ?? [];
    if (prefix === undefined || variable === undefined) throw new Error(`${text} is not a template of resources`);
    this.text = text;
    this.prefix = prefix;
    this.variable = variable;
  }

  /** Returns the URI of a target, whose characters need no escaping. */
  uriOf(target: string): string {
    return this.prefix + target;
  }

  /** Returns the target, or undefined for a URI of another form. The operation checks whether the target is valid. */
  targetOf(uri: string): string | undefined {
    return uri.startsWith(this.prefix) && uri.length > this.prefix.length ? uri.slice(this.prefix.length) : undefined;
  }
}
