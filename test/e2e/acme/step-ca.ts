/** A real step-ca with an ACME provisioner, and the DNS server by which it finds the hosts that it is to prove. */

import { type ChildProcess, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createIntermediate, createRoot } from '../../../src/identity/issue.ts'
import { newKey } from '../../../src/identity/key.ts'
import { askHttp } from '../../../src/io/ask-http.ts'
import { freePort } from '../../harness/machine.ts'

/** Answers every question for an IPv4 address with 127.0.0.1, all others with nothing (RFC 1035 §4). */
export async function loopbackDns(): Promise<AsyncDisposable & { readonly port: number }> {
  const socket = createSocket('udp4')
  socket.on('message', (question, { port, address }) => {
    const end = question.indexOf(0, 12) + 5
    const isA = question.readUInt16BE(end - 4) === 1
    const head = Buffer.from(question.subarray(0, 12))
    head.writeUInt16BE(0x8180, 2)
    head.writeUInt16BE(isA ? 1 : 0, 6)
    head.writeUInt32BE(0, 8)
    const answer = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1])
    socket.send(Buffer.concat([head, question.subarray(12, end), ...(isA ? [answer] : [])]), port, address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return {
    port: (socket.address() as AddressInfo).port,
    [Symbol.asyncDispose]: () => new Promise<void>(resolve => socket.close(() => resolve())),
  }
}

export class StepCa implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'weft-acme-'))
  readonly #child: ChildProcess
  readonly #dns: AsyncDisposable
  readonly port: number
  /** PEM. */
  readonly root: string
  said = ''

  private constructor(port: number, root: string, dns: AsyncDisposable, start: (folder: string) => ChildProcess) {
    this.port = port
    this.root = root
    this.#dns = dns
    this.#child = start(this.folder)
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) stream.on('data', chunk => (this.said += chunk))
  }

  get directory(): string {
    return `https://localhost:${this.port}/acme/edge/directory`
  }

  /** httpPort: where it asks for challenges. life: of its certificates. */
  static async start(program: string, { httpPort, life }: { readonly httpPort: number; readonly life: string }): Promise<StepCa> {
    const dns = await loopbackDns()
    const root = createRoot('authority.test', await newKey(), Date.now())
    const sub = createIntermediate(root, await newKey(), Date.now())
    const port = await freePort()
    const claims = { minTLSCertDuration: '1s', defaultTLSCertDuration: life, maxTLSCertDuration: '24h' }
    const ca = new StepCa(port, root.root, dns, folder => {
      const write = (name: string, content: string): string => {
        writeFileSync(join(folder, name), content, { mode: 0o600 })
        return join(folder, name)
      }
      const config = write(
        'ca.json',
        JSON.stringify({
          root: write('root.pem', root.root),
          crt: write('sub.pem', sub.chain[0]!),
          key: write('sub.key', sub.key.pem),
          address: `127.0.0.1:${port}`,
          dnsNames: ['127.0.0.1', 'localhost'],
          logger: { format: 'text' },
          db: { type: 'badgerv2', dataSource: join(folder, 'db') },
          authority: { backdate: '1s', provisioners: [{ type: 'ACME', name: 'edge', challenges: ['http-01'], claims }] },
        }),
      )
      const flags = ['--insecure', `--acme-http-port=${httpPort}`, `--resolver=127.0.0.1:${dns.port}`]
      return spawn(program, [...flags, config], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, HOME: folder } })
    })
    try {
      await ca.#answers()
      return ca
    } catch (thrown) {
      await ca[Symbol.asyncDispose]()
      throw thrown
    }
  }

  async #answers(): Promise<void> {
    const end = Date.now() + 30_000
    for (;;) {
      const reply = await askHttp({ url: `https://127.0.0.1:${this.port}/health`, ca: this.root, timeoutMs: 1000 }).catch(() => undefined)
      if (reply?.status === 200) return
      if (Date.now() > end || this.#child.exitCode !== null) throw new Error(`step-ca does not answer:\n${this.said.slice(-2000)}`)
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null) {
      const ended = once(this.#child, 'exit')
      this.#child.kill()
      await ended
    }
    await this.#dns[Symbol.asyncDispose]()
    rmSync(this.folder, { recursive: true, force: true })
  }
}
