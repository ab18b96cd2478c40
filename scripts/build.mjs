// `npm run build`: the npm package's dist/: one bundle for Node 26, the thread that enters namespaces, and a launcher that an older Node can run.
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { ready } from './ready.mjs'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
ready()
rmSync(join(root, 'dist'), { recursive: true, force: true })

/** The bundle lies as deep as src/bin, so paths to the package's folders stay true; only files named by URL have other names. */
const renamed = {
  name: 'names of bundled files',
  setup(builder) {
    builder.onLoad({ filter: /src\/(io\/namespace|bin\/weft)\.ts$/ }, ({ path }) => ({
      loader: 'ts',
      contents: readFileSync(path, 'utf8').replaceAll("'./namespace/inside.ts'", "'./inside.js'").replaceAll("'./weft.ts'", "'./main.js'"),
    }))
  },
}
await build({
  entryPoints: { 'bin/main': join(root, 'src/bin/weft.ts'), 'bin/inside': join(root, 'src/io/namespace/inside.ts') },
  outdir: join(root, 'dist'),
  bundle: true,
  packages: 'external', // they are dependencies of the package, and some are not made to be bundled
  splitting: true,
  chunkNames: 'bin/[name]-[hash]',
  platform: 'node',
  target: 'node26',
  format: 'esm',
  minifySyntax: true,
  plugins: [renamed],
  logLevel: 'warning',
})
mkdirSync(join(root, 'dist'), { recursive: true })
writeFileSync(join(root, 'dist/weft.js'), readFileSync(join(root, 'scripts/launcher.mjs')))
chmodSync(join(root, 'dist/weft.js'), 0o755)
process.stderr.write('✓ dist/ is built\n')
