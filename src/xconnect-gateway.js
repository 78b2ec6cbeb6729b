#!/usr/bin/env -S node --max-semi-space-size=8 --disable-warning=ExperimentalWarning
// The gateway as a command, as `npm start` starts it.
import './process/quick-imports.js'

await import('./main.ts')
