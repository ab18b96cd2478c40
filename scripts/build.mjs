// `npm run build`: the npm package's dist/: the bundle for Node 26, and a launcher that an older Node can run.
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ready } from './ready.mjs'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
rmSync(join(root, 'dist'), { recursive: true, force: true })
ready()
await import('./bundle.mjs')
writeFileSync(join(root, 'dist/weft.js'), readFileSync(join(root, 'scripts/launcher.mjs')))
chmodSync(join(root, 'dist/weft.js'), 0o755)
process.stderr.write('✓ dist/ is built\n')
