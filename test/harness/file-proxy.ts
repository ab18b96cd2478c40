/** Proxies as people start them from files: `weft proxy --from` in a process of its own, and pairs of halves with mutual TLS between them. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { resourcesFor, type Role } from '../../bench/resources.ts'
import { writeCertificates } from '../../bench/certificates.ts'

const program = process.env['WEFT_TEST_PROGRAM'] ?? join(import.meta.dirname, '../../src/bin/weft.ts')

export type Told = {
  readonly pid: number
  readonly admin?: string
  readonly listeners: readonly { readonly name: string; readonly host: string; readonly port: number }[]
}

export type FileProxyProcess = AsyncDisposable & {
  readonly child: ChildProcess
  readonly port: number
  readonly admin: string
  /** All that was told on stdout so far, newest last. */
  readonly told: readonly Told[]
  readonly stderr: () => string
  /** Ends it; resolves with its exit code. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<number | null>
}

/** Resolves when its listeners are open. Rejects with what it said when it ends before that. */
export async function startFileProxy(file: string, flags: readonly string[] = []): Promise<FileProxyProcess> {
  // As ./weft starts it.
  const collector = ['--external-memory-accounted-in-global-limit', '--single-threaded-gc']
  const args = [
    ...collector,
    '--disable-warning=ExperimentalWarning',
    program,
    'proxy',
    '--from',
    file,
    '--admin',
    '0',
    '-o',
    'json',
    ...flags,
  ]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  child.stderr.on('data', text => (said += String(text)))
  const told: Told[] = []
  const first = Promise.withResolvers<Told>()
  createInterface({ input: child.stdout }).on('line', line => {
    told.push(JSON.parse(line) as Told)
    first.resolve(told[0]!)
  })
  const over = once(child, 'exit') as Promise<[number | null]>
  void over.then(() => first.reject(new Error(`weft proxy ended: ${said}`)))
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal)
    return (await over)[0]
  }
  const { listeners, admin = '' } = await first.promise
  return {
    child,
    port: listeners[0]!.port,
    admin,
    told,
    stderr: () => said,
    stop,
    [Symbol.asyncDispose]: async () => void (await stop()),
  }
}

/** A folder with certificates for a client and a server of one mesh; see bench/certificates.ts. */
export async function certificateFolder(): Promise<Disposable & { readonly path: string; readonly renew: () => Promise<void> }> {
  const path = mkdtempSync(join(tmpdir(), 'weft-file-'))
  const renew = await writeCertificates(path)
  return { path, renew, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

/** Writes the resources of a half there and starts it. */
export function startHalf(
  role: Role,
  to: number,
  certs: string,
  { protocol, flags = [] }: { readonly protocol?: 'http' | 'tcp'; readonly flags?: readonly string[] } = {},
): Promise<FileProxyProcess> {
  const who = role === 'in' ? 'server' : 'client'
  const file = join(certs, `${role}-${to}.json`)
  const tls = { cert: join(certs, `${who}.pem`), key: join(certs, `${who}.key`), ca: join(certs, 'ca.pem') }
  const server = 'spiffe://mesh.local/ns/app/sa/server'
  writeFileSync(file, JSON.stringify(resourcesFor(role, { listen: 0, to, tls, server, ...(protocol === undefined ? {} : { protocol }) })))
  return startFileProxy(file, flags)
}

export type HalfPair = AsyncDisposable & { readonly port: number; readonly outer: FileProxyProcess; readonly inner: FileProxyProcess }

/** What connects to `port` reaches `to` through two proxies with mutual TLS between them. */
export async function startPair(to: number, certs: string, protocol: 'http' | 'tcp' = 'http'): Promise<HalfPair> {
  const inner = await startHalf('in', to, certs, { protocol })
  try {
    const outer = await startHalf('out', inner.port, certs, { protocol })
    return {
      port: outer.port,
      outer,
      inner,
      [Symbol.asyncDispose]: async () => {
        await Promise.all([outer.stop(), inner.stop()])
      },
    }
  } catch (thrown) {
    await inner.stop()
    throw thrown
  }
}
