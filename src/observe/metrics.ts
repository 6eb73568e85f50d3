// Counters, gauges and histograms in the text format of Prometheus, with labels from closed lists. node/report/ decides
// what is measured.

/** Series of one metric beyond this number are counted together, so that unexpected label values cannot fill memory. */
const MAX_SERIES = 1000;
const REST = "other";

type Values = readonly string[];
type Read = () => Iterable<readonly [Values, number]>;

interface Family {
  name: string;
  kind: "counter" | "gauge" | "histogram";
  help: string;
  lines(): string[];
}

/** A number that only grows. */
export interface Counter {
  /** Adds `by` (default 1) to the series with these label values, in the order of the labels. */
  add(labels: Values, by?: number): void;
}

/** Counts values by the bounds they do not exceed. */
export interface Histogram {
  observe(labels: Values, value: number): void;
}

/** The metrics of one process. */
export class Metrics {
  readonly #families: Family[] = [];

  counter(name: string, help: string, labels: readonly string[]): Counter {
    const series = new Series(labels, () => ({ value: 0 }));
    this.#add({
      name,
      kind: "counter",
      help,
      lines: () => series.map((where, { value }) => `${name}${where()} ${value}`),
    });
    return {
      add: (values, by = 1) => {
        series.of(values).value += by;
      },
    };
  }

  /** Adds a gauge whose values `read` returns at each scrape. */
  gauge(name: string, help: string, labels: readonly string[], read: Read): void {
    this.#read("gauge", name, help, labels, read);
  }

  /** Adds a counter that is kept elsewhere: `read` returns its values at each scrape, and they only grow. */
  counted(name: string, help: string, labels: readonly string[], read: Read): void {
    this.#read("counter", name, help, labels, read);
  }

  /** Adds a histogram. `bounds` are in ascending order, in the unit of the name. */
  histogram(name: string, help: string, labels: readonly string[], bounds: readonly number[]): Histogram {
    const series = new Series(labels, () => ({ counts: bounds.map(() => 0), sum: 0, total: 0 }));
    this.#add({
      name,
      kind: "histogram",
      help,
      lines: () =>
        series.map((where, { counts, sum, total }) => {
          let below = 0;
          const buckets = bounds.map((bound, index) => {
            below += counts[index] ?? 0;
            return `${name}_bucket${where(["le", String(bound)])} ${below}`;
          });
          return [
            ...buckets,
            `${name}_bucket${where(["le", "+Inf"])} ${total}`,
            `${name}_sum${where()} ${sum}`,
            `${name}_count${where()} ${total}`,
          ].join("\n");
        }),
    });
    return {
      observe: (values, value) => {
        const found = series.of(values);
        found.sum += value;
        found.total += 1;
        // Each value is counted once, at the first bound that it does not exceed; a scrape adds them up.
        const index = bounds.findIndex((bound) => value <= bound);
        if (index >= 0) found.counts[index] = (found.counts[index] ?? 0) + 1;
      },
    };
  }

  /** Returns the text of a scrape. */
  text(): string {
    const parts = this.#families.map(({ name, kind, help, lines }) =>
      [
        `# HELP ${name} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`,
        `# TYPE ${name} ${kind}`,
        ...lines(),
      ].join("\n"),
    );
    return `${parts.join("\n")}\n`;
  }

  #read(kind: "gauge" | "counter", name: string, help: string, labels: readonly string[], read: Read): void {
    const lines = () => [...read()].map(([values, value]) => `${name}${labelled(labels, values)} ${value}`);
    this.#add({ name, kind, help, lines });
  }

  #add(family: Family): void {
    if (!/^[a-z][a-z0-9_]*$/.test(family.name) || this.#families.some(({ name }) => name === family.name))
      throw new Error(`${family.name} is not a metric name, or is already taken`);
    this.#families.push(family);
  }
}

/** The series of one metric by label values; at most MAX_SERIES, and one more for the rest. */
class Series<T> {
  readonly #labels: readonly string[];
  readonly #make: () => T;
  readonly #byKey = new Map<string, { values: Values; data: T }>();

  constructor(labels: readonly string[], make: () => T) {
    this.#labels = labels;
    this.#make = make;
  }

  of(values: Values): T {
    const known = this.#byKey.get(values.join("\n"));
    if (known !== undefined) return known.data;
    const rest = this.#labels.map(() => REST);
    if (this.#byKey.size >= MAX_SERIES && values.join() !== rest.join()) return this.of(rest);
    const data = this.#make();
    this.#byKey.set(values.join("\n"), { values, data });
    return data;
  }

  map(line: (where: (extra?: readonly [string, string]) => string, data: T) => string): string[] {
    return [...this.#byKey.values()].map(({ values, data }) =>
      line((extra) => labelled(this.#labels, values, extra), data),
    );
  }
}

/** Returns `{a="x",b="y"}`, or "" without labels. */
function labelled(labels: readonly string[], values: Values, extra?: readonly [string, string]): string {
  const pairs = labels.map((label, index) => [label, values[index] ?? ""] as const);
  const all = extra === undefined ? pairs : [...pairs, extra];
  return all.length === 0 ? "" : `{${all.map(([label, value]) => `${label}="${escaped(value)}"`).join(",")}}`;
}

function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
