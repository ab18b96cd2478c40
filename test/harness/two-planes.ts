/** One mesh with both kinds of data plane: the same server behind each, `called-weft` and `called-envoy`, and a caller beside each, `web-weft` and `web-envoy`. */

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import process from 'node:process'
import type { Resource } from '../../src/resources/kind.ts'
import type { Answer } from '../e2e/sidecar/cases.ts'
import { addressBeside, envoyBeside } from './envoy-sidecar.ts'
import { freePort } from './machine.ts'
import { kinds, Mesh, root, type Running, type Shell } from './mesh.ts'

export const planes = ['weft', 'envoy'] as const
export type Plane = (typeof planes)[number]
const ports = { http1: 8080, http2: 8081, grpc: 8081, tcp: 8082 } as const
export type Version = keyof typeof ports
export const versions = ['http1', 'http2', 'grpc', 'tcp'] as const
const file = (name: string): string => join(root, 'test/e2e/sidecar', name)

/** What a command wrote; rejects where it failed and wrote nothing. */
export const run = (command: readonly string[]): Promise<string> =>
  new Promise((resolve, reject) =>
    execFile(command[0]!, command.slice(1), (error, stdout, stderr) =>
      error && stdout === '' ? reject(new Error(stderr)) : resolve(stdout),
    ),
  )

export class TwoPlanes implements AsyncDisposable {
  readonly mesh: Mesh
  readonly #shell: Shell
  readonly #agent: Running

  constructor(mesh: Mesh, shell: Shell, agent: Running) {
    this.mesh = mesh
    this.#shell = shell
    this.#agent = agent
  }

  /** All are healthy, and both callers can call. */
  static async start(): Promise<TwoPlanes> {
    const mesh = await Mesh.start()
    try {
      const own = { weft: [8080, 8081, 8082], envoy: [await freePort(), await freePort(), await freePort()] } as const
      for (const plane of planes) await TwoPlanes.#serve(mesh, plane, own[plane])
      const agent = envoyBeside(mesh, 'web-envoy')
      const shell = mesh.shell('web-weft')
      for (const plane of planes) await mesh.healthy(`called-${plane}`)
      await shell.says('true')
      await mesh.until('the agent says where services are', () => agent.stderr.includes('services are at'))
      return new TwoPlanes(mesh, shell, agent)
    } catch (thrown) {
      await mesh[Symbol.asyncDispose]()
      throw thrown
    }
  }

  static async #serve(mesh: Mesh, plane: Plane, [one, two, bytes]: readonly [number, number, number]): Promise<void> {
    const name = `called-${plane}`
    await mesh.client.apply(kinds.service, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace: 'default' },
      spec: {
        selector: { app: name },
        ports: [
          { name: 'http', port: 8080, targetPort: 'http', appProtocol: 'http' },
          { name: 'http2', port: 8081, targetPort: 'http2', appProtocol: 'kubernetes.io/h2c' },
          { name: 'tcp', port: 8082, targetPort: 'tcp', appProtocol: 'tcp' },
        ],
      },
    } as Resource)
    const env = { NAME: plane, HTTP1: String(one), HTTP2: String(two), TCP: String(bytes), UDP: '0' }
    const flags = ['--port', `http:${one}/http`, '--port', `http2:${two}/http2`, '--port', `tcp:${bytes}/tcp`]
    if (plane === 'weft') return void mesh.run(name, [process.execPath, file('server.mjs')], { env, flags })
    mesh.spawn([process.execPath, file('server.mjs')], { env })
    envoyBeside(mesh, name, ...flags)
  }

  /** One call to a Service; rejects where the caller itself fails. */
  async ask(from: Plane, service: string, version: Version): Promise<Answer> {
    const asked = { version, port: ports[version], calls: [{ path: '/open' }] }
    const line = (host: string): string => JSON.stringify({ ...asked, host })
    const said =
      from === 'weft'
        ? await this.#shell.says(`${process.execPath} ${file('caller.mjs')} '${line(service)}'`)
        : await run([process.execPath, file('caller.mjs'), line(await this.#besideEnvoy(service))])
    return (JSON.parse(said) as readonly Answer[])[0]!
  }

  async #besideEnvoy(service: string): Promise<string> {
    const { spec } = await this.mesh.client.get(kinds.service, service, { namespace: 'default' })
    return addressBeside(this.mesh, this.#agent, String((spec as { clusterIP?: string }).clusterIP))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#shell[Symbol.asyncDispose]()
    await this.mesh[Symbol.asyncDispose]()
  }
}
