/** A mesh with services whose behaviour is changed while they are called, for the tests of storms and of endpoints that stand out. */

import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import type { KindPath } from '../../src/api/client.ts'
import type { Resource } from '../../src/resources/kind.ts'
import { active } from './front.ts'
import { kinds, Mesh, root, type Shell } from './mesh.ts'

const policies = (plural: string): KindPath => ({ group: 'weft.dev', version: 'v1alpha1', plural, namespaced: true })
const script = (name: string): string => join(root, 'test/e2e/resilience', name)

/** tenths: of a second, those that began then. */
export type Told = {
  readonly tally: Readonly<Record<string, number>>
  readonly asked: number
  readonly seconds: number
  readonly tenths: readonly { readonly asked: number; readonly well: number }[]
}

export class Storm implements AsyncDisposable {
  readonly mesh: Mesh
  readonly caller: Shell

  private constructor(mesh: Mesh, caller: Shell) {
    this.mesh = mesh
    this.caller = caller
  }

  /** services: how many workloads each has, `SERVICE-NUMBER`. */
  static async start(services: Readonly<Record<string, number>>): Promise<Storm> {
    const mesh = await Mesh.start()
    for (const [service, count] of Object.entries(services)) {
      for (let number = 1; number <= count; number++) {
        const name = `${service}-${number}`
        const [mode, seen] = ['mode', 'seen'].map(what => join(mesh.folder, `${what}-${name}`)) as [string, string]
        for (const [file, text] of [
          [mode, '200'],
          [seen, '0'],
        ] as const) {
          writeFileSync(file, text)
          chmodSync(file, 0o666)
        }
        mesh.run(name, [process.execPath, script('storm-server.mjs')], {
          flags: ['--service', service, '--port', '8080/http'],
          env: { MODE: mode, SEEN: seen, NAME: name },
        })
      }
      await mesh.healthy(service, count)
    }
    const caller = mesh.shell('caller')
    await caller.says('true')
    return new Storm(mesh, caller)
  }

  /** What a server does from now on, within a tenth of a second; see storm-server.mjs. */
  set(mode: string, ...names: readonly string[]): void {
    for (const name of names) writeFileSync(join(this.mesh.folder, `mode-${name}`), mode)
  }
  /** How often they were asked in all; exact when nothing was for two tenths of a second. */
  seen(...names: readonly string[]): number {
    return names.reduce((sum, name) => sum + Number(readFileSync(join(this.mesh.folder, `seen-${name}`), 'utf8') || 0), 0)
  }

  async call(perSecond: number, seconds: number, url = 'http://web:8080'): Promise<Told> {
    const { output } = await this.caller.do(`${process.execPath} ${script('storm-caller.mjs')} ${url} ${perSecond} ${seconds}`, 180_000)
    await new Promise(resolve => setTimeout(resolve, 250))
    return JSON.parse(output) as Told
  }

  /** Makes these hold on all proxies. */
  async apply(...resources: readonly Resource[]): Promise<void> {
    let last = 0
    for (const resource of resources) {
      const kind =
        resource.kind === 'HTTPRoute' ? kinds.httpRoute : policies(resource.kind === 'RoutePolicy' ? 'routepolicies' : 'backendpolicies')
      const { resource: held } = await this.mesh.client.apply(kind, resource, { force: true })
      last = Number(held.metadata.resourceVersion)
    }
    await active(this.mesh, last)
  }

  /** Of a proxy: labels, as they are written, to values. service: whose. */
  async metric(name: string, service = 'caller'): Promise<Readonly<Record<string, number>>> {
    const proxy = (await this.mesh.client.proxies()).find(each => each.service === service)!
    const text = await (await fetch(`${proxy.admin}/metrics`)).text()
    const lines = text.split('\n').filter(line => line.startsWith(`${name}{`))
    return Object.fromEntries(lines.map(line => [line.slice(name.length + 1, line.lastIndexOf('}')), Number(line.split(' ').at(-1))]))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.caller[Symbol.asyncDispose]()
    await this.mesh[Symbol.asyncDispose]()
  }
}

export const sum = (samples: Readonly<Record<string, number>>, ...labels: readonly string[]): number =>
  Object.entries(samples).reduce((total, [key, value]) => total + (labels.every(label => key.includes(label)) ? value : 0), 0)

/** For the service `web`, unless it says otherwise. */
export const backendPolicy = (spec: object, name = 'web'): Resource =>
  ({
    apiVersion: 'weft.dev/v1alpha1',
    kind: 'BackendPolicy',
    metadata: { name, namespace: 'default' },
    spec: { targetRefs: [{ name }], ...spec },
  }) as Resource
export const routePolicy = (spec: object): Resource =>
  ({
    apiVersion: 'weft.dev/v1alpha1',
    kind: 'RoutePolicy',
    metadata: { name: 'web', namespace: 'default' },
    spec: { targetRefs: [{ kind: 'Service', name: 'web' }], ...spec },
  }) as Resource

/**
 * From when to when, in tenths, callers suffered; recovered: the first tenth after `end` from which on all that began in the next ten were answered well.
 * end: when the servers were well again.
 */
export function recovery({ tenths }: Told, end: number): { readonly tenths: number } | undefined {
  const isWell = (at: number) => tenths[at] !== undefined && tenths[at].well === tenths[at].asked
  for (let at = end; at + 10 <= tenths.length; at++)
    if (Array.from({ length: 10 }, (_, next) => isWell(at + next)).every(Boolean)) return { tenths: at - end }
  return undefined
}
