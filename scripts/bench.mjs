// `npm run bench`: makes the clone ready, then measures Weft beside HAProxy, nginx and Envoy (bench/run.ts).
import { spawnSync } from 'node:child_process'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ready } from './ready.mjs'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const node = ready({ dashboard: false })
const ran = spawnSync(node, ['--disable-warning=ExperimentalWarning', join(root, 'bench', 'run.ts'), ...process.argv.slice(2)], {
  stdio: 'inherit',
})
process.exit(ran.status ?? 1)
