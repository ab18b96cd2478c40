/** What comes along: nothing of it runs while it is installed, all of it is pinned and listed, and a release can be told from a forgery. */

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { appendFileSync, chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

const root = join(import.meta.dirname, '..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
type Locked = {
  readonly version?: string
  readonly resolved?: string
  readonly integrity?: string
  readonly link?: boolean
  readonly dev?: boolean
  readonly devOptional?: boolean
  readonly inBundle?: boolean
  readonly hasInstallScript?: boolean
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>
}
const lock = (JSON.parse(read('package-lock.json')) as { readonly packages: Readonly<Record<string, Locked>> }).packages
const own = JSON.parse(read('package.json')) as Readonly<Record<string, Readonly<Record<string, unknown>>>>
const fetched = Object.entries(lock).filter(([path, { link }]) => path.includes('node_modules/') && link !== true)
const nameOf = (path: string): string => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)

test('no package runs a script when it is installed: each that would is forbidden by name, and none is allowed', () => {
  const scripted = fetched.filter(([, { hasInstallScript }]) => hasInstallScript === true).map(([path]) => nameOf(path))
  const said = own['allowScripts'] ?? {}
  assert.deepEqual(
    scripted.filter(name => said[name] !== false),
    [],
    'write them into allowScripts of package.json, as false',
  )
  assert.deepEqual(
    Object.entries(said).filter(([, allowed]) => allowed !== false),
    [],
  )
  // An npm that does not know allowScripts yet is told in another way.
  assert.match(read('scripts/ready.mjs'), /'--ignore-scripts'/)
})

test('every version is written exactly, and what is fetched is checked by its hash, from no other place than the registry', () => {
  const loose = ['dependencies', 'devDependencies', 'optionalDependencies'].flatMap(part =>
    Object.entries(own[part] ?? {}).filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(String(version))),
  )
  assert.deepEqual(loose, [])
  const unchecked = fetched.filter(
    ([, { integrity = '', resolved = '', inBundle }]) =>
      inBundle !== true && (!integrity.startsWith('sha512-') || (resolved !== '' && !resolved.startsWith('https://registry.npmjs.org/'))),
  )
  assert.deepEqual(
    unchecked.map(([path]) => path),
    [],
  )
})

type Sbom = {
  readonly bomFormat: string
  readonly specVersion: string
  readonly serialNumber: string
  readonly metadata: { readonly component: { readonly name: string; readonly purl: string } }
  readonly components: readonly {
    readonly name: string
    readonly version: string
    readonly purl: string
    readonly hashes?: readonly { readonly content: string }[]
  }[]
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[]
}

const hexOf = ({ integrity = '' }: Locked): string => Buffer.from(integrity.replace('sha512-', ''), 'base64').toString('hex')

/** All packages that these need to run, as Node would find them; not those that are wanted only where somebody else brings them. */
function closure(from: readonly string[]): readonly string[] {
  const seen = new Set<string>()
  const left = [...from]
  for (let at = left.pop(); at !== undefined; at = left.pop()) {
    const { dependencies, optionalDependencies, peerDependencies, peerDependenciesMeta = {} } = lock[at]!
    const peers = Object.keys(peerDependencies ?? {}).filter(name => peerDependenciesMeta[name]?.optional !== true)
    for (const name of [...Object.keys({ ...dependencies, ...optionalDependencies }), ...peers]) {
      const found = foundFrom(at, name)
      assert.ok(found !== undefined || optionalDependencies?.[name] !== undefined, `${at} needs ${name}, which is not in package-lock.json`)
      if (found === undefined || seen.has(found)) continue
      seen.add(found)
      left.push(found)
    }
  }
  return [...seen]
}

function foundFrom(at: string, name: string): string | undefined {
  for (let folder = at; ; folder = folder.slice(0, Math.max(folder.lastIndexOf('/node_modules/'), 0))) {
    const path = `${folder === '' ? '' : `${folder}/`}node_modules/${name}`
    if (lock[path] !== undefined) return path
    if (folder === '') return undefined
  }
}

test('the list of what a release is made of names every package of it with version and hash, and is the same when it is made again', () => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-sbom-'))
  try {
    const made = ['one', 'two'].map(name => {
      execFileSync(process.execPath, [join(root, 'scripts/sbom.mjs'), join(folder, name)], { stdio: 'ignore' })
      return readFileSync(join(folder, name), 'utf8')
    })
    assert.equal(made[0], made[1])
    const { bomFormat, specVersion, metadata, components, dependencies } = JSON.parse(made[0]!) as Sbom
    assert.deepEqual([bomFormat, specVersion, metadata.component.name], ['CycloneDX', '1.5', 'weft'])
    const hashes = new Map(
      components.map(({ purl, hashes: [hash] = [] }) => [decodeURIComponent(purl.replace('pkg:npm/', '')), hash?.content]),
    )
    assert.equal(hashes.delete(`weft-dashboard@${String(own['version'])}`), true)
    // By who needs whom, and not by the marks of npm, by which the list was made.
    const needed = closure(['', 'dashboard']).map(path => [`${nameOf(path)}@${lock[path]!.version}`, hexOf(lock[path]!)] as const)
    assert.ok(needed.length > 100, String(needed.length))
    assert.deepEqual(Object.fromEntries([...hashes].sort()), Object.fromEntries(needed.toSorted()))
    const known = new Set(dependencies.map(({ ref }) => ref))
    assert.deepEqual(
      dependencies.flatMap(({ dependsOn }) => dependsOn).filter(ref => !known.has(ref)),
      [],
    )
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('the audit fails for what is high or critical and for signatures that do not hold, and says when the registry gave no answer', async () => {
  const { judgeAudit, judgeSignatures } = (await import('../scripts/audit.mjs' as string)) as Readonly<
    Record<
      'judgeAudit' | 'judgeSignatures',
      (text: string) => { readonly ok?: string; readonly bad?: readonly string[]; readonly skipped?: string }
    >
  >
  const of = (severity: string): string =>
    JSON.stringify({
      vulnerabilities: { left: { name: 'left', severity, via: [{ title: 'It leaks', url: 'https://example.com' }] } },
      metadata: { vulnerabilities: {}, dependencies: { prod: 12 } },
    })
  for (const severity of ['high', 'critical'])
    assert.deepEqual(judgeAudit(of(severity)).bad, [`left: ${severity}: It leaks https://example.com`])
  for (const severity of ['low', 'moderate'])
    assert.equal(judgeAudit(of(severity)).ok, `12 packages; left: ${severity}: It leaks https://example.com`)
  assert.deepEqual(judgeAudit(of('low').replace('"prod":12', '"prod":0')).bad, ['npm audit looked at no package'])
  for (const [text, why] of [
    ['{"message":"405 Method Not Allowed","statusCode":405}', /405/],
    ['{"message":"request failed","error":{"code":"ENOTFOUND","summary":"getaddrinfo ENOTFOUND"}}', /./],
    ['npm error code EAI_AGAIN\nnpm error network timeout', /EAI_AGAIN|network timeout/],
    ['npm error request to https://tuf-repo-cdn.sigstore.dev/15.root.json failed, reason: getaddrinfo ENOTFOUND', /ENOTFOUND/],
    ['npm error spawnSync npm ETIMEDOUT', /ETIMEDOUT/],
  ] as const) {
    assert.match(judgeAudit(text).skipped ?? '', why, text)
    assert.match(judgeSignatures(text).skipped ?? '', why, text)
  }
  // What is wrong here is no silence of the registry.
  for (const text of [
    '{"error":{"code":"ENOLOCK","summary":"This command requires an existing lockfile."}}',
    'npm error spawnSync npm ENOENT',
    'npm error found no installed dependencies to audit',
    '{"auditReportVersion":2}',
    '',
  ]) {
    assert.match(judgeAudit(text).bad?.join() ?? '', /^npm could not ask: ./, text)
    assert.match(judgeSignatures(text).bad?.join() ?? '', /^npm could not ask: ./, text)
  }
  assert.deepEqual(judgeSignatures('{"invalid":[{"name":"left","version":"1.0.0"}],"missing":[]}').bad, [
    'left@1.0.0: its signature does not hold',
  ])
  assert.deepEqual(judgeSignatures('{"invalid":[],"missing":[{"name":"left","version":"1.0.0"}]}').bad, ['left@1.0.0: it is not signed'])
  assert.equal(judgeSignatures('{"invalid":[],"missing":[]}').ok, 'every signature holds')
})

const hasOpenssl = spawnSync('openssl', ['version']).status === 0

test('what is signed is verified with sha256sum and openssl as the guide says; a changed file, a changed list and another key are not', {
  skip: hasOpenssl ? false : 'openssl is not on this machine',
}, async () => {
  const { sign } = (await import('../scripts/release.mjs' as string)) as { readonly sign: (folder: string, key: string) => string }
  const folder = mkdtempSync(join(tmpdir(), 'weft-release-'))
  const keys = mkdtempSync(join(tmpdir(), 'weft-release-key-'))
  const key = join(keys, 'release.key')
  const pub = join(keys, 'weft-release.pub')
  try {
    execFileSync('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', key], { stdio: 'ignore' })
    chmodSync(key, 0o644)
    assert.throws(() => sign(folder, key), /can be read by others; run: chmod 600/)
    chmodSync(key, 0o600)
    writeFileSync(join(folder, 'weft-0.1.0.tgz'), 'a package')
    writeFileSync(join(folder, 'weft-0.1.0.cdx.json'), '{}')
    writeFileSync(pub, sign(folder, key))
    // The two commands of the guide.
    const guide = read('docs/guide/operate.md')
    const [, signature = '', sums = ''] = /^(openssl pkeyutl .*)\n(sha256sum .*)$/m.exec(guide) ?? []
    const run = (line: string): number => spawnSync('sh', ['-c', line.replace('weft-release.pub', pub)], { cwd: folder }).status ?? -1
    assert.deepEqual([run(signature), run(sums)], [0, 0])
    appendFileSync(join(folder, 'weft-0.1.0.tgz'), '!')
    assert.notEqual(run(sums), 0)
    appendFileSync(join(folder, 'SHA256SUMS'), '\n')
    assert.notEqual(run(signature), 0)
    execFileSync('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', join(keys, 'other.key')], { stdio: 'ignore' })
    chmodSync(join(keys, 'other.key'), 0o600)
    sign(folder, join(keys, 'other.key'))
    assert.notEqual(run(signature), 0)
  } finally {
    for (const each of [folder, keys]) rmSync(each, { recursive: true, force: true })
  }
})
