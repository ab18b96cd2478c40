/** Finds and runs the programs that set a namespace up. */

import { spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'

/** An ordinary user's PATH often lacks the sbin folders, where `ip` and `nft` live. */
const folders = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']

/** The full path, or undefined where it is not installed. Fixed folders, not PATH: these run with capabilities. */
export function findTool(name: string): string | undefined {
  return [...folders.map(folder => `${folder}/${name}`), `/run/current-system/sw/bin/${name}`].find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** says: standard error and output together. code: undefined when a signal ended it or it could not be started. */
export type Outcome = { readonly code: number | undefined; readonly says: string }

/** Runs in the namespaces of the calling thread. */
export function run(file: string, args: readonly string[], input = ''): Promise<Outcome> {
  return new Promise(resolve => {
    const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { LC_ALL: 'C', PATH: folders.join(':') } })
    const said: Buffer[] = []
    child.stdout.on('data', (bytes: Buffer) => said.push(bytes))
    child.stderr.on('data', (bytes: Buffer) => said.push(bytes))
    child.stdin.on('error', () => {}) // it ended without reading: its exit code tells
    child.on('error', error => resolve({ code: undefined, says: error.message }))
    child.on('close', code => resolve({ code: code ?? undefined, says: Buffer.concat(said).toString() }))
    child.stdin.end(input)
  })
}
