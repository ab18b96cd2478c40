// `npm run fuzz -- [TARGET…] [--for 10m] [--seed N]`: makes the clone ready, then gives each target of fuzz/ its share of the time.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { ready } from './ready.mjs'

const folder = resolve(dirname(fileURLToPath(import.meta.url)), '..', 'fuzz')
const parts = new Set(['run', 'random', 'mutate'])
const known = readdirSync(folder)
  .map(name => name.replace(/\.ts$/, ''))
  .filter(name => !parts.has(name))
const usage = `npm run fuzz -- [TARGET…] [--for 10m] [--seed N]\n\n  targets: ${known.join(', ')} (none named: all, one after the other)\n  --for    for all together, such as 90s, 10m or 1h (1m)\n  --seed   of the first case (another one each time)`
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    for: { type: 'string', default: '1m' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
    help: { type: 'boolean' },
  },
})
const time = /^([0-9]+)(s|m|h)$/.exec(values.for)
const unknown = positionals.filter(name => !known.includes(name))
if (values.help || !time || !/^[0-9]+$/.test(values.seed) || unknown.length > 0) {
  if (unknown.length > 0) console.error(`there is no target ${unknown.join(', ')}`)
  console.error(usage)
  process.exit(values.help ? 0 : 2)
}
const node = ready({ dashboard: false })
const targets = positionals.length > 0 ? positionals : known
const seconds = Math.max(1, Math.floor((Number(time[1]) * { s: 1, m: 60, h: 3600 }[time[2]]) / targets.length))
let failed = 0
for (const target of targets) {
  const args = ['--disable-warning=ExperimentalWarning', join(folder, `${target}.ts`), '--for', `${seconds}s`, '--seed', values.seed]
  if (spawnSync(node, args, { stdio: 'inherit' }).status !== 0) failed++
}
process.exit(failed > 0 ? 1 : 0)
