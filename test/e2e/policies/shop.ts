/** What the tests of policies share: servers, documents of every kind, and what is said of them. */

import { join } from 'node:path'
import process from 'node:process'
import type { KindPath } from '../../../src/api/client.ts'
import type { PoliciesTold } from '../../../src/api/mesh-api.ts'
import type { Resource } from '../../../src/resources/kind.ts'
import { apiVersionOf } from '../../../src/resources/kind.ts'
import { kinds } from '../../../src/resources/registry.ts'
import { active } from '../../harness/front.ts'
import type { Mesh, Shell } from '../../harness/mesh.ts'

const script = (name: string): string => join(import.meta.dirname, name)

export function serve(mesh: Mesh, service: string): void {
  mesh.run(service, [process.execPath, script('server.mjs')], {
    flags: ['--port', 'http:8080/http', '--port', 'grpc:7070/grpc', '--port', 'raw:9000/tcp'],
    env: { NAME: service },
  })
}

export const connectTo = (shell: Shell, host: string, ...more: readonly string[]): Promise<string> =>
  shell.says(`${process.execPath} ${script('connect.mjs')} ${host} 9000 ${more.join(' ')}`)

const kindNamed = (name: string) => kinds.find(each => each.kind === name)!
const pathOf = (name: string): KindPath => kindNamed(name)

type Where = { readonly namespace?: string; readonly from?: string }

/** from: of a route, its annotation. Resolves when every proxy has it. */
export async function apply(
  mesh: Mesh,
  kind: string,
  name: string,
  spec: object,
  { namespace = 'default', from }: Where = {},
): Promise<void> {
  const annotations = from === undefined ? {} : { annotations: { 'weft.dev/from': from } }
  const document = { apiVersion: apiVersionOf(kindNamed(kind)), kind, metadata: { name, namespace, ...annotations }, spec } as Resource
  const { resource } = await mesh.client.apply(pathOf(kind), document, { force: true })
  await active(mesh, Number(resource.metadata.resourceVersion))
}

export async function remove(mesh: Mesh, kind: string, name: string, namespace = 'default'): Promise<void> {
  await mesh.client.delete(pathOf(kind), name, { namespace })
  const { resourceVersion } = await mesh.client.list(pathOf(kind), { all: true })
  await active(mesh, Number(resourceVersion))
}

/** Each condition that says something, as `TYPE STATUS REASON: MESSAGE`. */
export async function said(mesh: Mesh, kind: string, name: string, namespace = 'default'): Promise<readonly string[]> {
  const { status } = await mesh.client.get(pathOf(kind), name, { namespace })
  const { ancestors = [], parents = [] } = (status ?? {}) as Record<
    'ancestors' | 'parents',
    readonly { conditions: readonly Said[] }[] | undefined
  >
  return [...(ancestors ?? []), ...(parents ?? [])].flatMap(({ conditions }) =>
    conditions.map(each => `${each.type} ${each.status} ${each.reason}: ${each.message}`),
  )
}
type Said = { readonly type: string; readonly status: string; readonly reason: string; readonly message: string }

/** What `weft explain policy` says of a service for a client, of the route of these requests. */
export async function explained(mesh: Mesh, service: string, client: string, ...more: readonly string[]): Promise<PoliciesTold> {
  const { code, stdout, stderr } = await mesh.weft('explain', 'policy', service, '--from', client, '-o', 'json', ...more)
  if (code !== 0) throw new Error(`weft explain policy: ${code}\n${stderr}`)
  return JSON.parse(stdout) as PoliciesTold
}

/** Of the first route of the first port: value, who says it, and who is overruled but for what is built in. */
export function routeField({ ports }: PoliciesTold, field: string): readonly [value: unknown, by: string, overruled: readonly string[]] {
  const found = ports[0]!.routes[0]!.fields.find(each => each.field === field)!
  return [found.value, found.by, found.overruled.map(each => each.by).filter(by => by !== 'built in')]
}
