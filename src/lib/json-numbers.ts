// Parses valid JSON text with a function that makes the numbers from their source text. A reviver of JSON.parse would
// do the same at many times the cost: it is called for every value, and each call makes an object.

/** A number as it is written. */
export type NumberOf = (source: string) => unknown;

/** Parses text that JSON.parse takes; what it makes of any other text is not defined. Nesting must be bounded. */
export function parseNumbers(text: string, numberOf: NumberOf): unknown {
  return new Parser(text, numberOf).value();
}

class Parser {
  readonly #text: string;
  readonly #numberOf: NumberOf;
  #at = 0;

  constructor(text: string, numberOf: NumberOf) {
    this.#text = text;
    this.#numberOf = numberOf;
  }

  value(): unknown {
    switch (this.#next()) {
      case 0x7b: // {
        return this.#object();
      case 0x5b: // [
        return this.#array();
      case 0x22: // "
        return this.#string();
      case 0x74: // true
        this.#at += 4;
        return true;
      case 0x66: // false
        this.#at += 5;
        return false;
      case 0x6e: // null
        this.#at += 4;
        return null;
      default:
        return this.#numberOf(this.#number());
    }
  }

  #object(): Record<string, unknown> {
    const made: Record<string, unknown> = {};
    this.#at++;
    while (this.#next() !== 0x7d) {
      const key = this.#string();
      this.#next(); // :
      this.#at++;
      const value = this.value();
      if (key === "__proto__") {
        Object.defineProperty(made, key, { value, writable: true, enumerable: true, configurable: true });
      } else made[key] = value;
      if (this.#next() === 0x2c) this.#at++;
    }
    this.#at++;
    return made;
  }

  #array(): unknown[] {
    const made: unknown[] = [];
    this.#at++;
    while (this.#next() !== 0x5d) {
      made.push(this.value());
      if (this.#next() === 0x2c) this.#at++;
    }
    this.#at++;
    return made;
  }

  #string(): string {
    const start = this.#at;
    let escaped = false;
    let end = start + 1;
    for (; this.#text.charCodeAt(end) !== 0x22; end++) {
      if (this.#text.charCodeAt(end) !== 0x5c) continue;
      escaped = true;
      end++;
    }
    this.#at = end + 1;
    return escaped ? JSON.parse(this.#text.slice(start, end + 1)) : this.#text.slice(start + 1, end);
  }

  #number(): string {
    const start = this.#at;
    while (isNumberPart(this.#text.charCodeAt(this.#at))) this.#at++;
    return this.#text.slice(start, this.#at);
  }

  /** Moves behind blanks. Returns the code of the character there. */
  #next(): number {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return code;
      this.#at++;
    }
  }
}

/** Digits, and `+ - . e E`. */
function isNumberPart(code: number): boolean {
  return (code >= 0x30 && code <= 0x39) || code === 0x2d || code === 0x2b || code === 0x2e || (code | 0x20) === 0x65;
}
