"""Pure rules of the runtime: no I/O, no asyncio."""
