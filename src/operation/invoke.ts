// The one road into Cairn: parse, gate, rate limit, run. REST, MCP, CLI and pages call this and nothing below it.
