// The style that pages share: HTML elements, then classes.

import components from "./components.css" with { type: "text" };
import elements from "./elements.css" with { type: "text" };

/** CSS; what pages add comes after it. */
export const SHARED_STYLE = `${elements}\n${components}`;
