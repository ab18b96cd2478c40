/** Envoy by itself with a bootstrap in a file: started, waited for and stopped. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'

/** How long it may take until its ports are open, on a machine that is busy. */
const patienceMs = 30_000

/** said: what it wrote so far. */
export type EnvoyProcess = { readonly said: () => string; stop(): Promise<void> }

/** Resolves when these ports are open. Rejects, with Envoy stopped, and with what it said, when they are not in time. config: the file. */
export async function startEnvoy(program: string, config: string, ports: readonly number[], host = '127.0.0.1'): Promise<EnvoyProcess> {
  const child = spawn(program, ['-c', config, '--concurrency', '1', '--disable-hot-restart', '-l', 'error'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.on('data', text => (said += String(text)))
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const over = once(child, 'exit')
    child.kill('SIGTERM')
    await over
  }
  const end = Date.now() + patienceMs
  for (const port of ports)
    while (!(await isOpen(port, host))) {
      if (child.exitCode !== null) throw new Error(`Envoy ended: ${said}`)
      if (Date.now() > end) {
        await stop()
        throw new Error(`Envoy does not listen on ${port}: ${said}`)
      }
      await new Promise(done => setTimeout(done, 50))
    }
  return { said: () => said, stop }
}

const isOpen = (port: number, host: string): Promise<boolean> =>
  new Promise(resolve => {
    const socket = net.connect(port, host, () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
