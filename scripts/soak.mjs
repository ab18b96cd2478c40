// `npm run soak -- --for 1h`: mixed load through two proxies; fails when requests do, or when memory, descriptors or timers grow.
import { spawnSync } from 'node:child_process'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ready } from './ready.mjs'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const node = ready()
const flags = ['--disable-warning=ExperimentalWarning', join(root, 'test/soak.ts'), ...process.argv.slice(2)]
process.exit(spawnSync(node, flags, { cwd: root, stdio: 'inherit' }).status ?? 1)
