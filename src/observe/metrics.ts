// Numbers for Prometheus, in its text format: counters, gauges and histograms with labels from closed lists. What is counted and when is the business of the node's wiring.

/** More label sets of one metric than this are counted together, so that a label which was thought closed cannot fill the memory. */
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

/** How often values fell below each bound. */
export interface Histogram {
  observe(labels: Values, value: number): void;
}

/** All metrics of one process. */
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

  /** `read` is asked at each scrape; what it answers is the gauge. */
  gauge(name: string, help: string, labels: readonly string[], read: Read): void {
    this.#read("gauge", name, help, labels, read);
  }

  /** A counter that is counted elsewhere: `read` is asked at each scrape, and its numbers only grow. */
  counted(name: string, help: string, labels: readonly string[], read: Read): void {
    this.#read("counter", name, help, labels, read);
  }

  /** `bounds` in ascending order, in the unit of the name. */
  histogram(name: string, help: string, labels: readonly string[], bounds: readonly number[]): Histogram {
    const series = new Series(labels, () => ({ counts: bounds.map(() => 0), sum: 0, total: 0 }));
    this.#add({
      name,
      kind: "histogram",
      help,
      lines: () =>
        series.map((where, { counts, sum, total }) =>
          [
            ...bounds.map((bound, index) => `${name}_bucket${where(["le", String(bound)])} ${counts[index]}`),
            `${name}_bucket${where(["le", "+Inf"])} ${total}`,
            `${name}_sum${where()} ${sum}`,
            `${name}_count${where()} ${total}`,
          ].join("\n"),
        ),
    });
    return {
      observe: (values, value) => {
        const found = series.of(values);
        found.sum += value;
        found.total += 1;
        for (const [index, bound] of bounds.entries()) {
          if (value <= bound) found.counts[index] = (found.counts[index] ?? 0) + 1;
        }
      },
    };
  }

  /** The text of a scrape. */
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
      throw new Error(`${family.name} is no name for a metric, or is taken`);
    this.#families.push(family);
  }
}

/** The series of one metric by their label values, bounded. */
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

/** `{a="x",b="y"}`, or nothing without labels. */
function labelled(labels: readonly string[], values: Values, extra?: readonly [string, string]): string {
  const pairs = labels.map((label, index) => [label, values[index] ?? ""] as const);
  const all = extra === undefined ? pairs : [...pairs, extra];
  return all.length === 0 ? "" : `{${all.map(([label, value]) => `${label}="${escaped(value)}"`).join(",")}}`;
}

function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
