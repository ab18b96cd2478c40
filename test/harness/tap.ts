/** A tap on this machine's loopback: the packets to and from some ports, as tcpdump writes them down. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

export class Tap implements AsyncDisposable {
  readonly #child: ChildProcess
  #bytes = Buffer.alloc(0)
  readonly #parts: Buffer[] = []

  private constructor(child: ChildProcess) {
    this.#child = child
    child.stdout!.on('data', (bytes: Buffer) => this.#parts.push(bytes))
  }

  /** Or why there can be none. Ports are given so that what else is busy on this machine cannot make it lose packets. */
  static async open(ports: readonly number[]): Promise<Tap | string> {
    const filter = `tcp and (${ports.map(port => `port ${port}`).join(' or ')})`
    const path = `${process.env['PATH']}:/usr/sbin:/usr/bin:/sbin:/bin`
    const child = spawn('tcpdump', ['-i', 'lo', '-n', '-s', '0', '-B', '65536', '-U', '-w', '-', filter], {
      env: { ...process.env, PATH: path },
    })
    const tap = new Tap(child)
    let says = ''
    return new Promise(resolve => {
      child.on('error', error => resolve(`tcpdump cannot be started: ${error.message}`))
      child.on('exit', () => resolve(`tcpdump cannot capture: ${says.trim()}`))
      child.stderr!.on('data', bytes => {
        says += bytes
        if (says.includes('listening on')) resolve(tap)
      })
    })
  }

  /** Whether these bytes went over loopback since the tap was opened, within one packet. */
  saw(text: string): boolean {
    this.#bytes = Buffer.concat([this.#bytes, ...this.#parts.splice(0)])
    return this.#bytes.includes(text)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#child, 'exit')
    if (this.#child.exitCode === null && this.#child.kill('SIGTERM')) await gone
  }
}
