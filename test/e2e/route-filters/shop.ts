/** What the tests of route filters and of rate limits share: plain servers that write down what they saw, callers, and policies. */

import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { KindPath } from '../../../src/api/client.ts'
import type { Resource } from '../../../src/resources/kind.ts'
import { active } from '../../harness/front.ts'
import { kinds, type Mesh, type Shell } from '../../harness/mesh.ts'

export type Question = {
  readonly to?: string
  readonly path?: string
  readonly method?: string
  readonly times?: number
  readonly width?: number
  readonly by?: '1' | '2' | 'grpc'
  readonly headers?: Readonly<Record<string, string>>
  readonly bytes?: number
}
/** ms: ascending. first, last: heads of answers. */
export type Told = {
  readonly tally: Readonly<Record<string, number>>
  readonly first: Readonly<Record<string, string>>
  readonly last: Readonly<Record<string, string>>
  readonly ms: readonly number[]
}

const script = (name: string): string => join(import.meta.dirname, name)

export const call = async (shell: Shell, question: Question): Promise<Told> =>
  JSON.parse(
    await shell.says(`${process.execPath} ${script('caller.mjs')} '${JSON.stringify({ to: 'http://web:8080', ...question })}'`),
  ) as Told

/** Starts a server; returns what it saw. */
export function serve(
  mesh: Mesh,
  name: string,
  service = name,
  env: Readonly<Record<string, string>> = {},
  port = '8080/http',
): () => readonly string[] {
  const file = join(mesh.folder, `seen-${name}`)
  writeFileSync(file, '')
  chmodSync(file, 0o666)
  mesh.run(name, [process.execPath, script('server.mjs')], {
    flags: ['--service', service, '--port', port],
    env: { NAME: name, SEEN: file, ...env },
  })
  return () => readFileSync(file, 'utf8').split('\n').slice(0, -1)
}

const pathOf: Readonly<Record<string, KindPath>> = {
  HTTPRoute: kinds.httpRoute,
  AccessPolicy: { group: 'weft.dev', version: 'v1alpha1', plural: 'accesspolicies', namespaced: true },
  FaultPolicy: { group: 'weft.dev', version: 'v1alpha1', plural: 'faultpolicies', namespaced: true },
  RateLimitPolicy: { group: 'weft.dev', version: 'v1alpha1', plural: 'ratelimitpolicies', namespaced: true },
  ExternalAuthorizationPolicy: { group: 'weft.dev', version: 'v1alpha1', plural: 'externalauthorizationpolicies', namespaced: true },
  JWTPolicy: { group: 'weft.dev', version: 'v1alpha1', plural: 'jwtpolicies', namespaced: true },
  RoutePolicy: { group: 'weft.dev', version: 'v1alpha1', plural: 'routepolicies', namespaced: true },
  Mesh: { group: 'weft.dev', version: 'v1alpha1', plural: 'meshes', namespaced: false },
}

/** Resolves when every proxy has it. */
export async function apply(mesh: Mesh, kind: string, name: string, spec: object): Promise<void> {
  const apiVersion = kind === 'HTTPRoute' ? 'gateway.networking.k8s.io/v1' : 'weft.dev/v1alpha1'
  const document = { apiVersion, kind, metadata: { name, ...(pathOf[kind]!.namespaced ? { namespace: 'default' } : {}) }, spec } as Resource
  const { resource } = await mesh.client.apply(pathOf[kind]!, document, { force: true })
  await active(mesh, Number(resource.metadata.resourceVersion))
}

export async function remove(mesh: Mesh, kind: string, name: string): Promise<void> {
  await mesh.client.delete(pathOf[kind]!, name)
  const { resourceVersion } = await mesh.client.list(pathOf[kind]!, {})
  await active(mesh, Number(resourceVersion))
}

/** Reason and message of each Accepted condition of a policy, in the order of its targets. */
export async function verdicts(mesh: Mesh, kind: string, name: string): Promise<readonly string[]> {
  const { items } = await mesh.client.list(pathOf[kind]!, {})
  const status = items.find(each => each.metadata.name === name)?.status as
    | { readonly ancestors?: readonly { readonly conditions: readonly { readonly reason: string; readonly message: string }[] }[] }
    | undefined
  return (status?.ancestors ?? []).map(({ conditions: [one] }) => `${one?.reason}: ${one?.message}`)
}

export const web = (rule: object): object => ({
  parentRefs: [{ group: '', kind: 'Service', name: 'web' }],
  rules: [{ backendRefs: [{ name: 'web', port: 8080 }], ...rule }],
})

/** The value of a metric of one service's proxy, summed over the samples that have all these labels. */
export async function metric(mesh: Mesh, service: string, name: string, ...labels: readonly string[]): Promise<number> {
  const proxy = (await mesh.client.proxies()).find(each => each.service === service)!
  const text = await (await fetch(`${proxy.admin}/metrics`)).text()
  return text
    .split('\n')
    .filter(line => line.startsWith(`${name}{`) && labels.every(label => line.includes(label)))
    .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
}
