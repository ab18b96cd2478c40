// `npm run sbom [FILE]`: what a release is made of, as CycloneDX 1.5 by npm from package-lock.json: the program, the dashboard that comes along, and all that both need.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const usual = join(root, 'dist', 'sbom.cdx.json')

/** The same for the same package-lock.json: npm would put the hour and a number by chance into it, and the name of the folder. */
export function sbom() {
  const { name, version, description, license } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const made = asked(version)
  const needed = neededIn(JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages, version)
  const components = made.components.filter(each => needed.has(each['bom-ref']))
  const dependencies = made.dependencies
    .filter(({ ref }) => needed.has(ref) || ref === made.metadata.component['bom-ref'])
    .map(each => ({ ...each, dependsOn: each.dependsOn.filter(ref => needed.has(ref)) }))
  const { timestamp: _, ...metadata } = made.metadata
  const component = {
    ...metadata.component,
    name,
    version,
    description,
    licenses: [{ license: { id: license } }],
    purl: `pkg:npm/${name}@${version}`,
  }
  const body = { ...made, metadata: { ...metadata, component }, components, dependencies }
  const hex = createHash('sha256')
    .update(JSON.stringify({ ...body, serialNumber: '' }))
    .digest('hex')
  // A UUID of the kind that is made from a hash (RFC 9562 §5.8).
  const uuid = [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `a${hex.slice(17, 20)}`, hex.slice(20, 32)].join('-')
  return { ...body, serialNumber: `urn:uuid:${uuid}` }
}

/** As `NAME@VERSION`. (`npm sbom --omit=dev` leaves out too much: whatever a tool for developers needs as well.) */
function neededIn(packages, version) {
  const entries = Object.entries(packages).filter(([path, { dev, devOptional, link }]) => path !== '' && !dev && !devOptional && !link)
  const nameOf = path => packages[path].name ?? path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
  return new Set(entries.map(([path, each]) => `${nameOf(path)}@${each.version ?? version}`))
}

/** The dashboard is published with the program and has no version of its own, without which npm lists nothing: here it has that of the program. */
function asked(version) {
  const folder = mkdtempSync(join(tmpdir(), 'weft-sbom-'))
  try {
    const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
    lock.packages.dashboard.version = version
    writeFileSync(join(folder, 'package-lock.json'), JSON.stringify(lock))
    copyFileSync(join(root, 'package.json'), join(folder, 'package.json'))
    mkdirSync(join(folder, 'dashboard'))
    const dashboard = JSON.parse(readFileSync(join(root, 'dashboard', 'package.json'), 'utf8'))
    writeFileSync(join(folder, 'dashboard', 'package.json'), JSON.stringify({ ...dashboard, version }))
    const args = ['sbom', '--sbom-format=cyclonedx', '--sbom-type=application', '--package-lock-only']
    return JSON.parse(execFileSync('npm', args, { cwd: folder, encoding: 'utf8', maxBuffer: 1 << 26, stdio: ['ignore', 'pipe', 'ignore'] }))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const file = resolve(process.argv[2] ?? usual)
  const made = sbom()
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${JSON.stringify(made, undefined, 2)}\n`)
  process.stderr.write(`✓ ${file}: ${made.components.length} components\n`)
}
