/** Where the suites, clients and servers of others come from: fetched or built once into the user's cache folder, or the reason why not. */

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import process from 'node:process'

export type Found = { readonly path: string }
export type Missing = { readonly missing: string }

export const cacheFolder = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'weft', 'peers')

/** Whether it was fetched before, for tests, which fetch nothing. */
export const isKept = (name: string): boolean => existsSync(join(cacheFolder, `${name}.done`))

/** Of this machine; /usr/sbin is looked at too, which users do not have in PATH. */
export function installed(name: string, debian = name): Found | Missing {
  for (const folder of [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']) {
    const path = join(folder, name)
    try {
      accessSync(path, constants.X_OK)
      return { path }
    } catch {}
  }
  return { missing: `${name} is not installed (Debian: apt-get install ${debian})` }
}

/** A Go command at a version, such as `google.golang.org/grpc/interop/client@v1.76.0`. */
export function goCommand(name: string, at: string): Found | Missing {
  const go = installed('go', 'golang')
  return once(`${name}-${at.split('@')[1]}`, join(name), folder => {
    if ('missing' in go) return go.missing
    const env = { ...process.env, GOBIN: folder, CGO_ENABLED: '0', GOFLAGS: '-trimpath' }
    const ran = run(go.path, ['install', '-ldflags=-s -w', at], { env })
    const built = join(folder, at.split('@')[0]!.split('/').at(-1)!)
    if (ran === undefined && built !== join(folder, name)) renameSync(built, join(folder, name))
    return ran
  })
}

/** A program of this repository in Go, with modules of others. source: its folder. */
export const goProgram = (name: string, source: string): Found | Missing =>
  once(`${name}-${contentOf(source)}`, name, folder => {
    const go = installed('go', 'golang')
    if ('missing' in go) return go.missing
    return run(go.path, ['build', '-trimpath', '-o', join(folder, name), '.'], { cwd: source, env: { ...process.env, CGO_ENABLED: '0' } })
  })

/** HashiCorp Vault takes a quarter of an hour to build: it is used where it is installed or was put into the cache folder, and built nowhere. */
export function vaultServer(): Found | Missing {
  const kept = join(cacheFolder, 'vault')
  if (existsSync(kept)) return { path: kept }
  const found = installed('vault')
  return 'path' in found ? found : { missing: `vault is neither installed nor in ${cacheFolder}` }
}

/** A package of npm with what it needs, such as `ws@8.18.0`. Its path is the folder to resolve it from. */
export const npmPackage = (at: string): Found | Missing =>
  once(`npm-${at.replace(/[^\w.]+/g, '-')}`, '.', folder => {
    const npm = installed('npm')
    if ('missing' in npm) return npm.missing
    return run(npm.path, ['install', '--silent', '--no-audit', '--no-fund', '--no-save', '--ignore-scripts', '--prefix', folder, at])
  })

function contentOf(folder: string): string {
  const hash = createHash('sha256')
  for (const name of readdirSync(folder).sort()) hash.update(readFileSync(join(folder, name)))
  return hash.digest('hex').slice(0, 12)
}

/** A repository at a commit. */
export const checkout = (name: string, url: string, commit: string): Found | Missing =>
  once(`${name}-${commit.slice(0, 12)}`, '.', folder => {
    const git = installed('git')
    if ('missing' in git) return git.missing
    return run(git.path, ['clone', '--quiet', url, folder]) ?? run(git.path, ['-C', folder, 'checkout', '--quiet', commit])
  })

/** A Python with packages, such as `websockets==15.0`. Its path is that of the interpreter. */
export const python = (name: string, ...packages: readonly string[]): Found | Missing =>
  once(`python-${name}-${packages.map(each => each.replace(/[^\w.]+/g, '-')).join('-')}`, join('bin', 'python'), folder => {
    const python3 = installed('python3')
    if ('missing' in python3) return python3.missing
    const quiet = ['--quiet', '--disable-pip-version-check']
    return run(python3.path, ['-m', 'venv', folder]) ?? run(join(folder, 'bin', 'python'), ['-m', 'pip', 'install', ...quiet, ...packages])
  })

/** make: fills the folder and returns why it could not. What it made is kept whole or not at all; a folder that knows its own path (a venv) is made in place. */
function once(name: string, file: string, make: (folder: string) => string | undefined): Found | Missing {
  const folder = join(cacheFolder, name)
  const done = `${folder}.done`
  if (existsSync(done) && existsSync(join(folder, file))) return { path: join(folder, file) }
  // Tests fetch nothing by themselves: .ci/run lets them.
  if (process.env['NODE_TEST_CONTEXT'] !== undefined && process.env['WEFT_TEST_FETCH'] !== '1')
    return { missing: `${name} is not in ${cacheFolder}: .ci/run fetches it (or WEFT_TEST_FETCH=1)` }
  mkdirSync(cacheFolder, { recursive: true })
  console.error(`… fetching ${name}, once`)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder)
  const why = make(folder)
  if (why !== undefined || !existsSync(join(folder, file))) {
    rmSync(folder, { recursive: true, force: true })
    return { missing: `${name} could not be had: ${why ?? `it has no ${file}`}` }
  }
  // Whoever looks finds it only now; a link would do as well as an empty folder.
  renameSync(mkdtempSync(`${folder}.`), done)
  return { path: join(folder, file) }
}

/** The last line of what it said when it failed. */
function run(
  file: string,
  args: readonly string[],
  options: { readonly env?: NodeJS.ProcessEnv; readonly cwd?: string } = {},
): string | undefined {
  const ran = spawnSync(file, args, { encoding: 'utf8', timeout: 600_000, ...options })
  if (ran.status === 0) return undefined
  return (ran.error?.message ?? `${ran.stdout}${ran.stderr}`).trim().split('\n').at(-1) ?? 'it failed without a word'
}
