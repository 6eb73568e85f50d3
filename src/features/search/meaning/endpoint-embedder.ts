// Vectors from a service that speaks the HTTP interface of OpenAI.

import { z } from "zod";
import type { ModelEndpoint } from "../../../operation/model-endpoint.ts";
import { checkedVectors, type Embedder } from "./embedder.ts";

/** Bytes of one vector as JSON, at most: 4096 numbers. */
const VECTOR_BYTES = 4096 * 32;

const response = z.looseObject({
  data: z.array(z.looseObject({ index: z.number().int().min(0), embedding: z.array(z.number()) })),
});

export interface EndpointEmbedderOptions {
  endpoint: ModelEndpoint;
  url: string;
  model: string;
  /** 0: as many as the model has. */
  dimensions: number;
}

/** Returns the embedder of a service. */
export function endpointEmbedder({ endpoint, url, model, dimensions }: EndpointEmbedderOptions): Embedder {
  return {
    identity: `${url} ${model} ${dimensions}`,
    model: `${model} at ${endpoint.host}`,
    chars: 2000,
    batch: 32,
    get isResting() {
      return endpoint.isResting;
    },
    embed(texts, deadlineMs, signal) {
      const body = {
        ...{ model, input: texts, encoding_format: "float" },
        ...(dimensions === 0 ? {} : { dimensions }),
      };
      const maxBytes = VECTOR_BYTES * texts.length + 4096;
      return endpoint.post({ path: "embeddings", body, maxBytes, deadlineMs, signal }, (value) => {
        const { data } = response.parse(value);
        const ordered = data.toSorted((a, b) => a.index - b.index);
        if (ordered.some(({ index }, at) => index !== at)) throw new RangeError("vectors of other texts");
        const vectors = checkedVectors(
          ordered.map(({ embedding }) => embedding),
          texts.length,
        );
        const width = vectors[0]?.length ?? 0;
        if (dimensions !== 0 && width !== dimensions) throw new RangeError(`${width} numbers, not ${dimensions}`);
        return vectors;
      });
    },
    close: async () => {},
  };
}
