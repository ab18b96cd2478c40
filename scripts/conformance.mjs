// `npm run conformance`: makes the clone ready, then runs the suites of others against the proxy (test/conformance/run.ts).
import { spawnSync } from 'node:child_process'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ready } from './ready.mjs'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const node = ready({ dashboard: false })
const ran = spawnSync(
  node,
  ['--disable-warning=ExperimentalWarning', join(root, 'test', 'conformance', 'run.ts'), ...process.argv.slice(2)],
  {
    stdio: 'inherit',
  },
)
process.exit(ran.status ?? 1)
