// Ends the process with one sentence at a Node that is too old. In plain JavaScript of the oldest
// kind: an older Node neither parses nor imports anything else of the gateway.
const NEEDED = 24

if (Number(process.versions.node.split('.')[0]) < NEEDED) {
  console.error(
    `xconnect-gateway needs Node ${NEEDED} or newer, and this is Node ${process.versions.node} (${process.execPath}). Install Node ${NEEDED} from https://nodejs.org, or run npm ci without --omit=dev, which installs it for npm start and npx xconnect.`,
  )
  // EX_CONFIG of sysexits.h: a restart would fail again.
  process.exit(78)
}
