#!/usr/bin/env node
// The command `xconnect`. In JavaScript, so that a Node that cannot run TypeScript says so.
import './process/quick-imports.js'

await import('./cli.ts')
